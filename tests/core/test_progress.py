"""The lines of progress: how fast, and how long it will take."""

import pytest

from mlc_bench.core import progress


@pytest.fixture
def clock(monkeypatch):
    """The seconds that progress sees; `clock[0]` sets them."""
    seconds = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def test_what_was_done_before_is_not_counted_as_speed(clock, capsys):
    with progress.bar("generate") as report:
        report(100, 200)
        clock[0] += 20
        report(140, 200)
        clock[0] += 5
        report(150, 200)  # too soon after the last line
        report(200, 200)
    assert capsys.readouterr().err.splitlines() == [
        "generate: 100/200 (0.0/s)", "generate: 140/200 (2.0/s, 30 s left)", "generate: 200/200 (4.0/s)",
    ]  # fmt: skip


@pytest.mark.parametrize("stored", [0, 10, 2000])
def test_a_phase_that_counts_anew_has_a_speed_of_its_own(clock, capsys, stored):
    """Answers, then choices: 6,150 that were all stored, then 2,400 with some stored."""
    with progress.bar("generate") as report:
        report(6150, 6150)
        clock[0] += 100
        report(stored, 2400)
        clock[0] += 20
        report(2400, 2400)
    speed = (2400 - stored) / 20
    assert capsys.readouterr().err.splitlines()[-1] == f"generate: 2400/2400 ({speed:.1f}/s)"
