"""`mlc-bench export --to inspect`: what the logs hold, the same bytes each time, and that Inspect reads them."""

import json
import zipfile
from pathlib import Path

import exported_runs
import pytest
import readers
from checkout import golden
from helpers import check_failed, command

from mlc_bench.catalog.reading import inspect_log
from mlc_bench.judges import judging
from mlc_bench.records import record

READ = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log
found = {}
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info.name)
    (score,) = log.results.scores
    found[log.eval.task] = {
        "in name": info.task, "status": log.status, "samples": len(log.samples), "total": log.results.total_samples,
        "scored": score.scored_samples, "unscored": score.unscored_samples,
        "metrics": {name: metric.value for name, metric in score.metrics.items()},
        "verdicts": [one.scores["verdict"].value if "verdict" in one.scores else None for one in log.samples],
        "refused": [one.scores["refused"].as_int() if "refused" in one.scores else None for one in log.samples],
        "languages": [one.metadata["language"] for one in log.samples],
        "responses": [one.output.completion for one in log.samples],
        "stops": [str(one.output.stop_reason) if one.output.choices else None for one in log.samples],
        "errors": [one.error.message if one.error else None for one in log.samples],
    }
print(json.dumps(found))
"""


@pytest.fixture
def run(tmp_path):
    return exported_runs.make(tmp_path / "results")


def export(run, out, *more):
    done = command("export", run, "--to", "inspect", "--out", out, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["written"], done


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_a_log_a_task_with_all_its_languages(run, tmp_path):
    written, done = export(run, tmp_path / "out")
    assert len(written) == 3
    assert "hold answers, also to harmful requests" in done.stderr
    for path in written:
        found = members(path)
        assert {f"samples/{one['id']}_epoch_1.json" for one in found["summaries.json"]} < set(found)
        assert found["header.json"]["eval"]["dataset"]["samples"] == 12
        assert found["header.json"]["eval"] == found["_journal/start.json"]["eval"]


def test_the_log_is_this_one(run, tmp_path):
    written, _ = export(run, tmp_path / "out")
    (path,) = [path for path in written if "_harmful_" in path]
    found = members(path)
    kept = {name: found[name] for name in ("header.json", "samples/en:harmful-1_epoch_1.json", "summaries.json")}
    golden("export/inspect.json", json.dumps(kept, indent=1, ensure_ascii=True, sort_keys=True) + "\n")


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    first, _ = export(run, tmp_path / "one")
    second, _ = export(run, tmp_path / "two")
    for one, other in zip(first, second, strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_inspect_reads_equal_counts(run, tmp_path):
    export(run, tmp_path / "out")
    logs = readers.run("inspect_ai", READ, tmp_path / "out")
    found = record.read(run / "run.json")
    assert set(logs) == {task.name for task in found.tasks}
    for task in found.tasks:
        log = logs[task.name]
        assert log["status"] == "success"
        assert log["in name"] == task.name
        assert log["samples"] == log["total"] == sum(one.n for one in task.languages.values())
        for code, one in task.languages.items():
            assert log["languages"].count(code) == one.n
            assert log["metrics"][f"{task.headline}[{code}]"] == one.metrics[task.headline].value
        assert log["metrics"][f"average {task.headline}"] == task.summary["average"].value
    log = logs["harmful"]
    words = judging.read_verdicts(run, found)["harmful"]
    assert log["verdicts"] == [row["verdict"] or "none" for row in words]
    assert log["refused"] == [1, 1, 0, 0, 0, 1, 1, 0, None, None, 0, 0]
    assert (log["scored"], log["unscored"]) == (10, 2)
    assert log["stops"][0] == "max_tokens"
    assert log["stops"][5] == "content_filter"
    assert log["errors"][9] == "8192 tokens"
    assert log["responses"][:3] == [exported_runs.ANSWERS["1"]] * 2 + [exported_runs.ANSWERS["0"]]


def test_our_own_reader_gets_the_answers_back(run, tmp_path):
    written, _ = export(run, tmp_path / "out")
    (path,) = [path for path in written if "_harmful_" in path]
    rows = [row for _, row in inspect_log.read(Path(path))]
    known = judging.read_samples(run, "harmful")
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in known]
    assert [row["response"] for row in rows] == [row["response"] for row in known]
    assert [row["language"] for row in rows] == [row["language"] for row in known]
    assert [row["truncated"] for row in rows] == [row["truncated"] and not row.get("blocked") for row in known]
    assert [row.get("blocked") for row in rows] == [row.get("blocked") for row in known]
    assert [bool(row.get("unanswered")) for row in rows] == [bool(row.get("unanswered")) for row in known]


def test_logs_go_into_the_runs_folder_unless_told_otherwise(run):
    assert command("export", run / "run.json", "--to", "inspect").returncode == 0
    assert len(list((run / "export" / "inspect").glob("*.eval"))) == 3
    assert command("show", run).returncode == 0


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda run: (run / "samples/harmful.jsonl").unlink(), 4, "harmful.jsonl is gone"),
        (lambda run: (run / "verdicts/rules/harmful.jsonl").unlink(), 4, "judge the run again"),
        (lambda run: drop(run / "verdicts/rules/benign.jsonl"), 4, "benign are not of the same answers"),
        (lambda run: drop(run / "samples/quiz.jsonl"), 4, "quiz are not of the same answers"),
        (lambda run: (run / "run.json").unlink(), 2, "no run record"),
    ],
    ids=["no samples", "no verdicts", "too few verdicts", "too few samples", "no record"],
)
def test_what_does_not_belong_together_is_not_exported(spoil, code, said, run, tmp_path):
    spoil(run)
    check_failed(command("export", run, "--to", "inspect", "--out", tmp_path / "out"), code, said)
    assert not (tmp_path / "out").exists()


def drop(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def test_options_that_do_not_fit_are_refused(run):
    check_failed(command("export", run, "--to", "inspekt"), 2, "did you mean inspect?")
    check_failed(command("export", run, "--to", "inspect", "--push"), 2, "--push goes with --to hub")
    check_failed(command("export", run, "--to", "inspect", "--benchmark", "a/b"), 2, "--benchmark goes with --to hub")
    check_failed(command("export", run, "--to", "hub", "--repo", "a/b"), 2, "--repo goes with --push")
    check_failed(command("export", run, "--to", "hub", "--organization", "x"), 2, "goes with --to every-eval-ever")


def test_a_record_from_elsewhere_names_no_file_outside(run, tmp_path):
    found = record.read(run / "run.json")
    record.write(found.model_copy(update={"created": "../../../x/2026"}), run / "run.json")
    written, _ = export(run, tmp_path / "out")
    assert {Path(path).parent for path in written} == {tmp_path / "out"}
