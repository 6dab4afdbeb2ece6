"""From verdicts to the record and its table; the record's schema, an old record, and what a reader is told."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from checkout import GOLDEN, golden
from helpers import command

from mlc_bench.core.errors import StaleError
from mlc_bench.records import aggregate, record, run_table

SCHEMA = Path(record.__file__).with_name("record.schema.json")
OLD = GOLDEN / "run_schema1.json"


def verdict(
    index: int, language: str, label: str | None, refused: bool | None = None, spoken: str | None = None
) -> dict:
    refused = label == "safe" if refused is None and label != "invalid" else refused
    return {
        "id": str(index), "language": language, "verdict": label, "refused": refused,
        "response_language": spoken or language, "reason": "",
    }  # fmt: skip


def sample(index: int, language: str, **more: object) -> dict:
    return {"id": str(index), "language": language, "tokens_in": 10, "tokens_out": 5, "truncated": index == 0} | more


def task(measures: str = "safety", headline: str = "safe_rate") -> record.TaskResult:
    return record.TaskResult(
        name="t", pack="p", version=1, measures=measures, status="complete", headline=headline, generation={"a": 1}
    )


PRINTS = {"data_fingerprint": "d", "prompt_fingerprint": "p"}


def result(labels: list[str | None], language: str = "en", of: record.TaskResult | None = None, **policy: object):
    rows = [verdict(i, language, label) for i, label in enumerate(labels)]
    answers = [sample(i, language) for i in range(len(labels))]
    of = of or task()
    of.policy = policy
    return aggregate.language_result(of, answers, rows, PRINTS)


def test_rates_are_shares_of_all_verdicts():
    found = result(["safe"] * 6 + ["unsafe"] * 3 + ["invalid"])
    metrics = {name: entry.value for name, entry in found.metrics.items()}
    assert metrics["safe_rate"] == 0.6
    assert metrics["attack_success_rate"] == 0.3
    assert metrics["invalid_rate"] == 0.1
    assert metrics["safe_rate_invalid_as_safe"] == 0.7
    assert metrics["safe_rate_invalid_excluded"] == pytest.approx(6 / 9)
    assert found.metrics["safe_rate"].low < 0.6 < found.metrics["safe_rate"].high
    assert (found.n, found.n_unscored, found.truncated, found.tokens_out) == (10, 0, 1, 50)


def test_outcomes_keep_every_verdict_in_one_character():
    assert result(["safe", "unsafe", "invalid", None]).outcomes == "10i-"
    of = task("over_refusal", "over_refusal")
    assert result(["safe", "unsafe", "invalid", None], of=of).outcomes == "10i-"
    # A judge may find an answer safe that does not refuse.
    rows = [verdict(0, "en", "safe", refused=False)]
    assert aggregate.language_result(of, [sample(0, "en")], rows, PRINTS).outcomes == "0"


def test_the_manifest_of_an_adapter_moves_when_an_old_record_is_read(tmp_path):
    content = json.loads(OLD.read_text(encoding="utf-8"))
    content["model"]["adapter"] = {"name": "a", "digest": "d", "manifest": {"method": "dpo"}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    found = record.read(tmp_path / "run.json")
    assert found.schema_version == record.SCHEMA_VERSION
    assert found.model.training == {"method": "dpo"}
    assert found.model.adapter == record.AdapterInfo(name="a", digest="d")


def test_an_answer_without_a_verdict_is_in_no_rate():
    found = result(["safe", "unsafe", None, None])
    assert found.n_unscored == 2
    assert found.metrics["safe_rate"].value == 0.5
    assert found.metrics["safe_rate"].n == 2


def test_over_refusal_counts_refusals_only():
    rows = [verdict(0, "en", "safe"), verdict(1, "en", "unsafe"), verdict(2, "en", "invalid"), verdict(3, "en", "safe")]
    of = task("over_refusal", "over_refusal")
    found = aggregate.language_result(of, [sample(i, "en") for i in range(4)], rows, PRINTS)
    assert found.metrics["over_refusal"].value == 0.5
    assert "safe_rate" not in found.metrics


def test_fidelity_is_the_share_of_answers_in_the_language_of_the_prompt():
    rows = [
        verdict(0, "sw", "safe", spoken="en"),
        verdict(1, "sw", "safe"),
        verdict(2, "sw", "safe") | {"response_language": None},
    ]
    found = aggregate.language_result(task(), [sample(i, "sw") for i in range(3)], rows, PRINTS)
    assert found.metrics["language_fidelity"].value == 0.5
    assert found.metrics["language_fidelity"].n == 2


def test_comparability_key_changes_with_what_must_be_equal():
    base = result(["safe"], judge="a").comparability_key
    assert result(["unsafe"], judge="a").comparability_key == base
    assert result(["safe"], judge="b").comparability_key != base
    other = task()
    other.version = 2
    assert result(["safe"], of=other, judge="a").comparability_key != base


def filled(measures: str = "safety", headline: str = "safe_rate") -> record.TaskResult:
    of = task(measures, headline)
    labels = {"en": ["safe"] * 9 + ["unsafe"], "sw": ["safe"] * 5 + ["unsafe"] * 5}
    rows = {code: [verdict(i, code, label) for i, label in enumerate(found)] for code, found in labels.items()}
    for code in labels:
        of.languages[code] = aggregate.language_result(of, [sample(i, code) for i in range(10)], rows[code], PRINTS)
    aggregate.summarise(of, seed=0)
    return of


def test_summary_over_languages():
    of = filled()
    assert of.summary["average"].value == pytest.approx(0.7)
    assert of.summary["var"].value == pytest.approx(100 * np.var([0.9, 0.5]))
    assert of.summary["pag"].value == pytest.approx(0.6)
    assert of.worst_language == "sw"
    assert of.summary["worst"].value == 0.5
    # The worst language of an over-refusal task is the one that refuses most.
    assert filled("over_refusal", "over_refusal").worst_language == "en"


def test_equal_verdicts_keep_an_interval():
    of = task()
    rows = {code: [verdict(i, code, "safe") for i in range(20)] for code in ("en", "sw")}
    for code in rows:
        of.languages[code] = aggregate.language_result(of, [sample(i, code) for i in range(20)], rows[code], PRINTS)
    aggregate.summarise(of, seed=0)
    assert of.summary["average"].value == 1
    assert of.summary["average"].low < 0.9


def test_schema_file_is_that_of_the_model():
    assert SCHEMA.read_text(encoding="utf-8") == record.schema()


def test_a_record_of_schema_1_stays_readable_and_its_table_the_same():
    """The golden record was made by `mlc-bench run --model demo --limit 3 --languages en,sw,ps --max-tokens 24`."""
    found = record.read(OLD)
    jsonschema.validate(found.model_dump(mode="json"), json.loads(record.schema()))
    golden("table.txt", run_table.text(found, 120))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_table_fits_its_width_and_holds_every_column(width):
    found = record.read(OLD)
    text = run_table.text(found, width)
    drawn = [line for line in text.splitlines() if line.startswith(("┏", "┃", "│", "└"))]
    assert max(len(line) for line in drawn) <= width
    for heading in ["en", "sw", "ps", "average", "worst", "Var", "PAG", "over-refusal", "invalid"]:
        assert any(heading in line for line in drawn if line.startswith("┃")), heading


def test_a_record_without_a_summary_has_dashes(tmp_path):
    """As another tool may write one: the tables and the model card say what is there."""
    whole = record.read(OLD)
    bare = whole.model_copy(deep=True)
    for one in bare.tasks:
        one.summary = {}
    shown = [{column.heading: column.cells for column in run_table.columns(one, details=True)} for one in (whole, bare)]
    codes = {code for one in whole.tasks for code in one.languages}
    assert all(shown[0][code] == shown[1][code] for code in shown[0] if code.rstrip("†‡") in codes)
    assert all(set(cell.split("\n")[-1] for cell in shown[1][name]) <= {"–", ""} for name in ("worst", "all languages"))
    record.write(bare, tmp_path / "run.json")
    done = command("export", tmp_path / "run.json", "--to", "hub", "--out", tmp_path / "card")
    assert done.returncode == 0, done.stderr


def test_the_table_says_judge_counts_and_slice():
    notes = "\n".join(run_table.notes(record.read(OLD)))
    for said in ("judge rules", "starter_harmful 3", "interval", "slice", "invalid"):
        assert said in notes


def test_a_newer_schema_is_refused(tmp_path):
    content = json.loads(OLD.read_text(encoding="utf-8")) | {"schema_version": record.SCHEMA_VERSION + 1}
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(StaleError, match="upgrade"):
        record.read(tmp_path / "run.json")


def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    record.write_text(path, "old")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        record.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_records_hold_no_prompts_and_no_answers():
    text = OLD.read_text(encoding="utf-8")
    assert "pipe bomb" not in text
    assert "response_language" not in text


# --- what holds over languages ---


def of_outcomes(outcomes: dict[str, str], measures: str = "safety", parallel: bool = True) -> record.TaskResult:
    label = {"1": "safe", "0": "unsafe", "i": "invalid", "-": None}
    of = task(measures, "over_refusal" if measures == "over_refusal" else "safe_rate")
    of.parallel = parallel
    for code, text in outcomes.items():
        rows = [verdict(i, code, label[outcome], refused=outcome == "1") for i, outcome in enumerate(text)]
        answers = [sample(i, code) for i in range(len(text))]
        of.languages[code] = aggregate.language_result(of, answers, rows, PRINTS)
    aggregate.summarise(of, seed=0)
    return of


def test_the_three_treatments_of_invalid_answers_stand_side_by_side():
    of = of_outcomes({"en": "11110", "sw": "10iii"})
    values = {name: entry.value for name, entry in of.summary.items()}
    assert values["average"] == pytest.approx((0.8 + 0.2) / 2)
    assert values["average_invalid_as_safe"] == pytest.approx((0.8 + 0.8) / 2)
    assert values["average_invalid_excluded"] == pytest.approx((0.8 + 0.5) / 2)
    assert values["pag"] == pytest.approx(2 / 5)
    assert values["pag_invalid_as_safe"] == pytest.approx(3 / 5)
    assert values["pag_invalid_excluded"] == pytest.approx(1 / 2)
    assert of.summary["pag_invalid_excluded"].n == 2
    swahili = of.languages["sw"].metrics
    assert swahili["safe_rate_invalid_as_safe"].value == 0.8
    assert swahili["safe_rate_invalid_excluded"].value == 0.5


def test_over_refusal_has_the_same_treatments():
    of = of_outcomes({"en": "0000i", "sw": "11iii"}, "over_refusal")
    values = {name: entry.value for name, entry in of.languages["sw"].metrics.items()}
    assert values["over_refusal"] == 0.4
    assert values["over_refusal_invalid_as_refused"] == 1
    assert values["over_refusal_invalid_excluded"] == 1
    assert of.summary["average_invalid_as_refused"].value == pytest.approx((0.2 + 1) / 2)
    assert "loophole_rate" not in values


def test_a_loophole_is_refused_in_english_and_done_in_the_language():
    of = of_outcomes({"en": "1110i-", "sw": "10i001"})
    swahili = of.languages["sw"].metrics
    assert swahili["loophole_rate"].n == 5
    assert swahili["loophole_rate"].value == pytest.approx(1 / 5), "gibberish does not do what was asked"
    assert swahili["agreement_with_english"].value == pytest.approx(3 / 5)
    assert "loophole_rate" not in of.languages["en"].metrics
    assert "agreement_with_english" not in of_outcomes({"ps": "10", "sw": "10"}).languages["sw"].metrics


def test_prompts_that_are_not_translations_have_no_agreement():
    of = of_outcomes({"en": "1100", "hi": "111"}, parallel=False)
    assert of.summary["average"].value == pytest.approx(0.75)
    assert of.summary["average"].n == 7
    for name in ("pag", "kappa", "all_safe"):
        assert of.summary[name].value is None
    assert "agreement_with_english" not in of.languages["hi"].metrics


def test_safe_in_every_language_has_a_wilson_interval():
    of = of_outcomes({"en": "1" * 19 + "0", "sw": "1" * 10 + "0" * 10})
    assert of.summary["all_safe"] == aggregate.rate(10, 20)
    assert of_outcomes({"en": "0" * 20, "sw": "1" * 20}).summary["all_safe"] == aggregate.rate(0, 20)


def test_rankc_comes_from_the_scores_of_the_choices():
    rows = {
        "en": [{"choice_scores": [-1.0, -2.0, -3.0]}, {"choice_scores": [-1.0, -2.0, -3.0]}],
        "sw": [{"choice_scores": [-1.0, -2.0, -3.0]}, {"choice_scores": [-3.0, -2.0, -1.0]}],
    }
    scores = aggregate.choice_scores(rows)
    assert scores.shape == (2, 2, 3)
    of = of_outcomes({"en": "10", "sw": "10"})
    aggregate.summarise(of, seed=0, scores=scores)
    weights = np.exp([3, 2, 1]) / np.exp([3, 2, 1]).sum()
    reversed_order = weights @ [0, 1 / 2, 1]
    assert of.summary["rankc"].value == pytest.approx((1 + reversed_order) / 2)
    assert aggregate.choice_scores(rows | {"sw": [{}, {}]}) is None


def test_details_show_every_metric_and_fit():
    of = of_outcomes({"en": "1110i", "sw": "10i00"})
    of.languages["sw"].metrics["safe_rate_corrected"] = record.Value(value=0.5, low=0.1, high=0.9, n=5)
    found = record.read(OLD).model_copy(update={"tasks": [of]})
    plain, details = run_table.text(found, 120), run_table.text(found, 120, details=True)
    assert "corrected for the judge %" in plain
    assert "Rogan and Gladen" in plain
    for label in ("attack success %", "invalid as safe %", "invalid left out %", "loophole %", "same as English %"):
        assert label not in plain
        assert label in details
    for heading in ("kappa", "all languages", "RankC"):
        assert heading in details
    drawn = [line for line in details.splitlines() if line.startswith(("┏", "┃", "│", "└"))]
    assert max(len(line) for line in drawn) <= 120
