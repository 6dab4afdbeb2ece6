"""`mlc-bench export --to every-eval-ever`: valid by the schema 0.3.0 and by its validator; numbers and no answers."""

import json
from pathlib import Path

import exported_runs
import readers
from checkout import golden
from helpers import check_failed, command

import mlc_bench
from mlc_bench.records import record

VALIDATE = """
import json, os, sys
from every_eval_ever.schema import get_schema_version
from every_eval_ever.validator import validate
os.chdir(sys.argv[1])
files = list(map(str, validate.expand_paths(["data/*/*/*/*.json"])))
sys.stdout = open(os.devnull, "w")
code = validate.main(files)
sys.stdout = sys.__stdout__
reports = [validate.validate_file(__import__("pathlib").Path(file), repo_path=file, run_semantic_checks=True)
           for file in files]
print(json.dumps({"version": get_schema_version(), "code": code, "errors": [one.errors for one in reports],
                  "warnings": [one.warnings for one in reports], "valid": [one.valid for one in reports]}))
"""


def export(run, out, *more):
    done = command("export", run, "--to", "every-eval-ever", "--out", out, *more)
    assert done.returncode == 0, done.stderr
    (path,) = done.stdout.splitlines()
    return Path(path), json.loads(Path(path).read_text())


def test_the_file_is_this_one(tmp_path):
    path, _ = export(exported_runs.make(tmp_path / "r"), tmp_path / "out")
    assert path.relative_to(tmp_path / "out").parts[:4] == ("data", "mlc-bench", "org", "model")
    golden("export/every_eval_ever.json", path.read_text().replace(f'"{mlc_bench.__version__}"', '"VERSION"'))


def test_its_validator_finds_nothing(tmp_path):
    export(exported_runs.make(tmp_path / "r"), tmp_path / "out")
    export(exported_runs.make(tmp_path / "r", "mine", limit=6), tmp_path / "out", "--organization", "a lab")
    found = readers.run("every_eval_ever", VALIDATE, tmp_path / "out")
    assert found["version"] == "0.3.0"
    assert found["errors"] == found["warnings"] == [[], []]
    assert found["valid"] == [True, True]
    assert found["code"] == 0


def test_a_model_of_nobody_gets_a_warning_and_no_error(tmp_path):
    export(exported_runs.make(tmp_path / "r", "mine"), tmp_path / "out")
    found = readers.run("every_eval_ever", VALIDATE, tmp_path / "out")
    assert (found["code"], found["errors"]) == (2, [[]])
    assert "developer must be known" in found["warnings"][0][0]["msg"]


def test_numbers_are_those_of_the_record(tmp_path):
    run = exported_runs.make(tmp_path / "r")
    _, content = export(run, tmp_path / "out")
    found = {one["evaluation_result_id"]: one for one in content["evaluation_results"]}
    assert len(found) == len(content["evaluation_results"])
    for task in record.read(run / "run.json").tasks:
        for code, result in task.languages.items():
            value, made = result.metrics[task.headline], found[f"{task.name}/{code}/{task.headline}"]
            assert made["score_details"]["score"] == value.value
            interval = made["score_details"]["uncertainty"]["confidence_interval"]
            assert (interval["lower"], interval["upper"]) == (value.low, value.high)
            assert made["score_details"]["uncertainty"]["num_samples"] == value.n
        assert found[f"{task.name}/average/{task.headline}"]["score_details"]["score"] == task.summary["average"].value
    directions = {
        one["metric_config"]["metric_kind"]: one["metric_config"]["lower_is_better"] for one in found.values()
    }
    assert directions == {
        "refusal_rate": False, "over_refusal": True, "invalid_rate": True, "acc": False, "refusal_selectivity": False,
    }  # fmt: skip


def test_nothing_private_and_no_answers(tmp_path):
    path, _ = export(exported_runs.private(tmp_path / "r"), tmp_path / "out")
    said = path.read_text() + str(path.relative_to(tmp_path))
    for text in (*exported_runs.PRIVATE, *exported_runs.PROMPTS.values(), "I can't help", "Of course"):
        assert text not in said


def test_a_hostile_model_name_stays_in_the_folder(tmp_path):
    run = exported_runs.make(tmp_path / "r")
    for name in ("../../../evil", "a/../../b", "C:\\x", "con", "..", "a|b<c>"):
        found = record.read(run / "run.json")
        found.model.name = name
        record.write(found, run / "run.json")
        done = command("export", run, "--to", "every-eval-ever", "--out", tmp_path / "out")
        assert done.returncode in (0, 2), done.stderr
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.json")} == {"r", "out"}


def test_a_record_that_no_table_would_show_is_refused(tmp_path):
    run = exported_runs.make(tmp_path / "r")
    found = record.read(run / "run.json")
    found.tasks[0].languages["en"].metrics["refusal_rate"].value = 0.99
    record.write(found, run / "run.json")
    check_failed(command("export", run, "--to", "every-eval-ever"), 2, "not what its outcomes give")
    found.tasks[0].languages["en"].metrics["refusal_rate"].value = 3 / 6
    record.write(found.model_copy(update={"finished": "yesterday"}), run / "run.json")
    check_failed(command("export", run, "--to", "every-eval-ever"), 4, "'yesterday' is no time")
