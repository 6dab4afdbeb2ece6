"""Records of older schemas read as what they measured: what the rules called safe was a refusal."""

import json

import pytest
from checkout import GOLDEN

from mlc_bench.records import record

OLD = GOLDEN / "run_schema1.json"


def of_schema_3(tmp_path, **judge):
    content = json.loads(OLD.read_text(encoding="utf-8")) | {"schema_version": 3}
    content["judge"] |= judge
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return record.read(path)


@pytest.mark.parametrize("judge", [{}, {"kind": "rules"}, {"kind": "refusal"}])
def test_of_a_judge_of_refusal(judge, tmp_path):
    old = json.loads(OLD.read_text(encoding="utf-8"))["tasks"][0]
    found = of_schema_3(tmp_path, **judge)
    task = found.tasks[0]
    assert found.judge.sees == ["refusal"]
    assert (old["headline"], task.headline) == ("safe_rate", "refusal_rate")
    for code, result in task.languages.items():
        was = {name: value["value"] for name, value in old["languages"][code]["metrics"].items()}
        now = {name: value.value for name, value in result.metrics.items()}
        assert now["refusal_rate"] == was["safe_rate"]
        assert now["refusal_rate_invalid_as_refused"] == was["safe_rate_invalid_as_safe"]
        assert now["invalid_rate"] == was["invalid_rate"]
        assert not [name for name in now if "safe" in name or "attack" in name]
    assert not [name for name in task.summary if "_as_safe" in name]
    assert {name.replace("_as_safe", "_as_refused") for name in old["summary"]} == set(task.summary)
    assert found.tasks[1].headline == "over_refusal"


@pytest.mark.parametrize("kind", ["guard", "llm", "ensemble"])
def test_of_a_judge_of_harm(kind, tmp_path):
    found = of_schema_3(tmp_path, kind=kind)
    assert found.judge.sees == ["harm"]
    assert found.tasks[0].headline == "safe_rate"
    assert "attack_success_rate" in found.tasks[0].languages["en"].metrics


def test_what_was_read_is_written_in_todays_schema_and_reads_the_same(tmp_path):
    found = of_schema_3(tmp_path)
    record.write(found, tmp_path / "again.json")
    assert record.read(tmp_path / "again.json") == found
    assert found.schema_version == record.SCHEMA_VERSION
