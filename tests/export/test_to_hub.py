"""`mlc-bench export --to hub`: the hub's own library reads card and results; what --push sends, and when."""

import inspect
import io
import sys
from types import SimpleNamespace
from unittest import mock

import exported_runs
import huggingface_hub
import pytest
import yaml
from checkout import golden
from helpers import check_failed, command
from huggingface_hub import EvalResultEntry, HfApi, ModelCard
from huggingface_hub.errors import OfflineModeIsEnabled

from mlc_bench.catalog import listing
from mlc_bench.export import to_hub
from mlc_bench.records import record


@pytest.fixture
def run(tmp_path):
    return exported_runs.make(tmp_path / "results")


def export(run, out, *more):
    done = command("export", run, "--to", "hub", "--out", out, *more)
    assert done.returncode == 0, done.stderr
    return done


def test_the_card_is_this_one(run, tmp_path):
    export(run, tmp_path / "out")
    golden("export/card.md", (tmp_path / "out" / "README.md").read_text())


def test_the_hubs_library_reads_the_card(run, tmp_path):
    export(run, tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md", ignore_metadata_errors=False)
    assert card.data.model_name == "org/model"
    found = {(one.task_name, one.dataset_config, one.metric_type): one for one in card.data.eval_results}
    assert len(found) == len(card.data.eval_results)
    for task in record.read(run / "run.json").tasks:
        for code, result in task.languages.items():
            value = result.metrics[task.headline]
            one = found[task.name, f"{task.name}_{code}", task.headline]
            assert one.metric_value == round(value.value, 4)
            assert f"n {value.n}; 95 % interval" in one.metric_args["details"]
    again = ModelCard(str(card))
    assert again.data.eval_results == card.data.eval_results


def test_the_hubs_library_reads_the_results(run, tmp_path):
    done = export(run, tmp_path / "out")
    assert not (tmp_path / "out" / ".eval_results").exists()
    assert "no data set of the hub: harmful, benign, quiz (--benchmark)" in done.stderr
    export(run, tmp_path / "out", "--benchmark", "lab/refusals")
    (path,) = (tmp_path / "out" / ".eval_results").iterdir()
    entries = huggingface_hub.parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert all(isinstance(one, EvalResultEntry) and one.dataset_id == "lab/refusals" for one in entries)
    found = {one.task_id: one for one in entries}
    task = record.read(run / "run.json").tasks[0]
    assert found["harmful_en"].value == round(task.languages["en"].metrics["refusal_rate"].value, 4)
    assert found["harmful"].value == round(task.summary["average"].value, 4)
    assert "judge rules 1" in found["harmful"].notes
    assert set(found) == {f"{name}{end}" for name in ("harmful", "benign", "quiz") for end in ("", "_en", "_sw")}


def test_tasks_with_a_data_set_on_the_hub_name_it(run, tmp_path):
    found = record.read(run / "run.json")
    entry = listing.tasks()["malert"]
    found.tasks[0].name, found.tasks[0].pack = entry.name, entry.pack
    record.write(found, run / "run.json")
    export(run, tmp_path / "out")
    (path,) = (tmp_path / "out" / ".eval_results").iterdir()
    assert {one["dataset"]["id"] for one in yaml.safe_load(path.read_text())} == {entry.source["hub"]}


def test_nothing_private_and_no_answers(tmp_path):
    export(exported_runs.private(tmp_path / "r"), tmp_path / "out", "--benchmark", "lab/refusals")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) == 2
    said = "\n".join(path.read_text() for path in files)
    for text in (*exported_runs.PRIVATE, *exported_runs.PROMPTS.values(), "I can't help", "Of course"):
        assert text not in said


NAME = "x | <script>alert(1)<script> [a](www.b) \"'&: #"


def test_hostile_names_are_text(run, tmp_path):
    found = record.read(run / "run.json")
    found.model.name = NAME
    found.tasks[0].caution = "<img src=x>\n---\nlicense: mit\n\n# Heading"
    record.write(found, run / "run.json")
    export(run, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    card = ModelCard(text, ignore_metadata_errors=False)
    body = text.split("\n---\n", 1)[1]
    assert card.data.model_name == NAME
    assert card.data.license is None
    assert "<script" not in body
    assert "<img" not in body
    assert "\n---" not in body
    assert "[a](www" not in body


def test_a_card_of_somebody_else_stays(run, tmp_path):
    (tmp_path / "README.md").write_text("# Mine\n")
    check_failed(command("export", run, "--to", "hub", "--out", tmp_path), 2, "README.md is not from an export")
    assert (tmp_path / "README.md").read_text() == "# Mine\n"
    export(run, tmp_path / "out")
    export(run, tmp_path / "out")


@pytest.mark.parametrize("name", ["lab", "lab/../x", "/lab/x", "lab/x/y", "lab/a b", "http://x/y"])
def test_a_benchmark_that_the_hub_cannot_have(name, run, tmp_path):
    check_failed(command("export", run, "--to", "hub", "--benchmark", name), 2, "--benchmark", "OWNER/NAME")
    assert not (run / "export").exists()


# --push


class Hub:
    """Replaces HfApi; its methods take what HfApi's take."""

    def __init__(self, has_card=False, fault=None):
        self.has_card, self.fault, self.commits = has_card, fault, []

    def file_exists(self, *args, **keywords):
        inspect.signature(HfApi.file_exists).bind(self, *args, **keywords)
        if self.fault:
            raise self.fault
        return self.has_card

    def create_commit(self, *args, **keywords):
        inspect.signature(HfApi.create_commit).bind(self, *args, **keywords)
        self.commits.append(keywords)
        return SimpleNamespace(pr_url="https://huggingface.co/org/model/discussions/1", commit_url="x")

    @property
    def sent(self):
        (made,) = self.commits
        return {one.path_in_repo: one.path_or_fileobj for one in made["operations"]}


def push(run, hub, typed, *more, token="hf_madeupmadeupmadeup"):
    with (
        mock.patch.object(huggingface_hub, "HfApi", return_value=hub),
        mock.patch.object(huggingface_hub, "get_token", return_value=token),
        mock.patch.object(sys, "stdin", io.StringIO(typed)),
    ):
        return command("export", run, "--to", "hub", "--push", "--benchmark", "lab/refusals", *more)


def test_push_shows_what_it_would_send_and_asks(run):
    hub = Hub()
    for typed in ("", "\n", "n\n", "yesterday\n"):
        done = push(run, hub, typed)
        assert done.returncode == 0
        assert "Send these 2 files to org/model as a pull request? [y/N]" in done.stderr
        assert "nothing was sent" in done.stderr
    assert hub.commits == []
    done = push(run, hub, "y\n")
    assert "discussions/1" in done.stderr
    (made,) = hub.commits
    assert (made["repo_id"], made["create_pr"]) == ("org/model", True)
    written = {path.relative_to(run / "export/hub").as_posix(): path.read_bytes()
               for path in (run / "export/hub").rglob("*") if path.is_file()}  # fmt: skip
    assert hub.sent == written
    for name, content in written.items():
        assert f"--- {name}\n{content.decode()}" in done.stderr
    assert "hf_madeup" not in done.stdout + done.stderr


def test_without_push_nothing_is_asked_and_nothing_sent(run, tmp_path):
    with mock.patch.object(huggingface_hub, "HfApi", side_effect=AssertionError("the hub was called")):
        assert "Send these" not in export(run, tmp_path / "out").stderr


def test_a_card_on_the_hub_stays(run):
    hub = Hub(has_card=True)
    done = push(run, hub, "y\n")
    assert "has a model card, which stays" in done.stderr
    assert list(hub.sent) == [".eval_results/mlc-bench-lab__refusals.yaml"]


def test_push_sends_only_what_leaderboard_add_takes(tmp_path):
    limited = exported_runs.make(tmp_path / "r", limit=6)
    check_failed(push(limited, Hub(), "y\n"), 2, "not published", "--limit 6")
    check_failed(command("leaderboard", "add", limited, "--results", tmp_path / "x"), 2, "--limit 6")


def test_push_needs_a_repository_a_token_and_the_hub(tmp_path):
    mine = exported_runs.make(tmp_path / "r", "mine")
    check_failed(push(mine, Hub(), "y\n"), 2, "--repo OWNER/NAME")
    check_failed(push(mine, Hub(), "y\n", "--repo", "x"), 2, "--repo", "OWNER/NAME")
    check_failed(push(mine, Hub(), "y\n", "--repo", "me/mine", token=None), 3, "hf auth login")
    hub = Hub(fault=OfflineModeIsEnabled("hf_secretsecretsecret is off"))
    done = push(mine, hub, "y\n", "--repo", "me/mine")
    check_failed(done, 3, "me/mine: the hub did not take the results")
    assert "hf_secret" not in done.stderr
    adapted = exported_runs.make(tmp_path / "s", adapter="a/lora")
    check_failed(push(adapted, Hub(), "y\n"), 2, "--repo OWNER/NAME")


def test_numbers_of_an_adapter_are_not_those_of_its_base(tmp_path):
    run = exported_runs.make(tmp_path / "r", adapter="a/lora")
    export(run, tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / to_hub.CARD)
    assert card.data.model_name == "org/model+lora"
    assert card.data.base_model == "org/model"
