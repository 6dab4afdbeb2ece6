"""The guides on running, judging, comparing and training, followed word by word, with the tiny model for big ones."""

import json
import shutil

import pytest
from checkout import Checkout
from fake_server import completion, serve
from follow import follow, the
from helpers import make_adapter

from mlc_bench.judges.rules.rules import VERSION

pytestmark = pytest.mark.integration  # each command in a process of its own, as people give them
QWEN = "Qwen/Qwen2.5-7B-Instruct"
URL = "http://localhost:8000/v1"
VERDICT = "It declines.\nRefused: yes\nVerdict: safe"


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "copy")


@pytest.fixture
def demo(tiny_model):
    """The tiny model wherever a page says the demo model."""
    return {
        "--model demo": f"--model {tiny_model}",
        "--against demo-tiny": f"--against {tiny_model}",
        "Qwen2.5-Coder-0.5B-Instruct": "tiny",
    }


def records(checkout):
    return {path.name: json.loads(path.read_text()) for path in sorted(checkout.folder.glob("results/*/*/run*.json"))}


def test_first_run(checkout, demo):
    done = follow(checkout, "first-run.md", demo)
    assert "starter_harmful    en sw zh" in the(done, "--dry-run")
    assert "refusal rate %" in the(done, "show", "/run.json", "--details")
    assert records(checkout)["run.json"]["limited"]


def test_your_model(checkout, tiny_model):
    for name in ("dpo", "dpo-mlc"):
        make_adapter(tiny_model, checkout.folder / name, seed=len(name))
    done = follow(checkout, "your-model.md", {QWEN: tiny_model, "--limit 20": "--limit 2 --max-tokens 8"})
    assert "starter_harmful" in the(done, "tasks list")
    for name in ("pku", "multijail", "starter_choice"):
        assert f"  {name} " in the(done, "--tasks pku")
    assert len(list(checkout.folder.glob("results/*/*/run.json"))) == 3


def test_your_server(checkout):
    with serve() as server:
        follow(checkout, "your-server.md", {URL: server.url, QWEN: "fake"})
        assert len(server.answered) == 20  # two tasks, two languages, five prompts
    (record,) = records(checkout).values()
    assert record["model"]["weights_digest"] is None
    assert record["status"] == "complete"


def test_judge_and_calibrate(checkout, demo):
    with serve() as server:
        server.answer = lambda body: (200, completion(VERDICT))
        done = follow(checkout, "judge.md", demo | {URL: server.url})
    judged = [json.loads(line) for line in the(done, "judge answers.jsonl").splitlines()]
    assert [(row["verdict"], row["refused"]) for row in judged] == [("refuses", True), ("refuses", True)]
    assert f"judge rules {VERSION} against people" in the(done, "calibrate labelled.jsonl")
    assert {record["judge"]["kind"] for record in records(checkout).values()} == {"refusal", "rules", "llm", "ensemble"}
    assert "4 labelled, 6 left" in the(done, "printf", "--annotator ann")
    assert "4 answers labelled by ann and bo" in the(done, "--agreement")
    assert len(list(checkout.folder.glob("results/*/*/labels/*.jsonl"))) == 4  # and the draws


def test_view(checkout, demo):
    done = follow(checkout, "view.md", demo)
    assert the(done, "complies").strip() == "answers.html"
    assert 'scope="row"' in checkout.read("harmless.html")
    assert "answers to harmful prompts were left out" in checkout.read("answers.html")


def test_label(checkout, demo):
    done = follow(checkout, "label.md", demo)
    assert "20 answers for amina" in the(done, "--page")
    assert "may be harmful" in checkout.read("amina.html")


def test_compare(checkout, tiny_model, other_tiny_model):
    shutil.copytree(tiny_model, checkout.folder / "base")
    shutil.copytree(other_tiny_model, checkout.folder / "trained")
    done = follow(checkout, "compare.md", {"--limit 20 --max-tokens 32": "--limit 4 --max-tokens 8"})
    compared = the(done, "compare")
    assert compared.startswith("trained against base")
    assert "starter_benign, over-refusal %" in compared
    assert "McNemar" in compared


def test_export(checkout, demo):
    done = follow(checkout, "export.md", demo)
    assert len(list(checkout.folder.glob("logs/*.eval"))) == 2
    judged = [json.loads(line) for line in the(done, "judge logs/").splitlines()]
    assert [row["language"] for row in judged] == ["en"] * 3 + ["sw"] * 3
    assert [json.loads(line)["verdict"] for line in the(done, "samples_mine").splitlines()] == ["refuses"]
    assert len(list(checkout.folder.glob("eee/data/mlc-bench/my-lab/tiny/*.json"))) == 1
    for name in ("README.md", ".eval_results/mlc-bench-my-lab__my-benchmark.yaml"):
        assert (checkout.folder / "card" / name).is_file()


def test_train(checkout, demo, tiny_model):
    for path in checkout.folder.glob("baselines/configs/small/*.yaml"):
        path.write_text(path.read_text().replace("model: demo-tiny", f"model: {tiny_model}"))
    done = follow(checkout, "train.md", demo)
    assert "mlc.tau [0.2]  temperature" in the(done, "--settings")
    (record,) = records(checkout).values()
    assert record["model"]["training"]["method"] == "dpo+mlc"
    (curve,) = json.loads(checkout.read("runs/scored/page/leaderboard.json"))["curves"]
    assert curve["steps"] == [1, 2]
    assert "Training runs" in checkout.read("runs/scored/page/index.html")
    assert (checkout.folder / "runs/sft-lora/adapter_model.safetensors").is_file()
    assert "matched" in the(done, "probe")
    assert "layer" in the(done, "gate fit")
    (gated,) = checkout.folder.glob("results/gated/gate/*/run.json")
    assert json.loads(gated.read_text())["model"]["training"]["method"] == "gate"


def test_several_gpus(checkout, tiny_model):
    for path in checkout.folder.glob("baselines/configs/small/*.yaml"):
        path.write_text(path.read_text().replace("model: demo-tiny", f"model: {tiny_model}"))
    follow(checkout, "several-gpus.md")
    manifest = json.loads(checkout.read("runs/two-processes/train_manifest.json"))
    assert manifest["method"] == "dpo+mlc"


def test_sweep(checkout, tiny_model):
    """The jobs as one sweep, then one of them as SLURM would start it, which finds all that is there."""
    done = follow(checkout, "sweep.md", {"[demo]": f"[{tiny_model}]"})
    assert "time unknown" in the(done, "--dry-run")
    assert "1 job, 1 complete, 0 not; 1 engine start" in done["mlc-bench sweep sweep.yaml"].stdout
    assert set(records(checkout)) == {"run.json", "run.rules.json"}
    before = len(list(checkout.folder.glob("results/*/*/generation.json")))
    array_job = checkout.run("SLURM_ARRAY_TASK_ID=1 bash sweep.sbatch")
    assert array_job.returncode == 0, array_job.stderr
    assert "starting" not in array_job.stderr
    assert len(list(checkout.folder.glob("results/*/*/generation.json"))) == before


def test_leaderboard_entry(checkout, tiny_model):
    swap = {
        QWEN: tiny_model,
        "Qwen2.5-7B-Instruct": "tiny",
        "--tasks pku,multijail,starter": "--tasks starter_harmful,starter_benign --languages en,sw --max-tokens 8",
    }
    done = follow(checkout, "leaderboard-entry.md", swap)
    assert "files are what the records give" in the(done, "check")
    for path in ("leaderboard/tables/README.md", "board/README.md"):
        assert "tiny" in checkout.read(path)
    assert (checkout.folder / "board/index.html").is_file()
