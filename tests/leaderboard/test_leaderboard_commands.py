"""`mlc-bench leaderboard build` and `add`: files, checks, what is taken out of records."""

import json
import shutil

import pytest
import sample_records
from checkout import ROOT
from helpers import check_failed, command

from mlc_bench.leaderboard import add, build, redact
from mlc_bench.records import record


def test_build_draws_plots_too(tmp_path):
    quiz = sample_records.make("a", tasks=sample_records.TASKS[2:])
    done = command("leaderboard", "build", sample_records.save(tmp_path / "r", quiz), "--out", tmp_path / "t")
    assert done.returncode == 0, done.stderr
    kinds = {(path.name.split("-")[0], path.suffix) for path in (tmp_path / "t" / "plots").iterdir()}
    assert kinds == {(name, kind) for name in ("heatmap", "bars") for kind in (".svg", ".png")}


def test_a_folder_without_records_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for args in (("build", "--out"), ("check", "--tables")):
        more = ["--no-plots", "--no-page"] if args[0] == "build" else []
        done = command("leaderboard", args[0], tmp_path / "empty", args[1], tmp_path / "t", *more)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(f"no records (run*.json) were found in {tmp_path / 'empty'}") == 1


def test_build_and_check(tmp_path):
    results, tables = sample_records.save(tmp_path / "results", *sample_records.family()), tmp_path / "tables"
    (results / "run-broken.json").write_text("{")
    done = command("leaderboard", "build", results, "--out", tables, "--no-plots", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["left_out"][0]["source"] == "run-broken.json"
    assert "left out: run-broken.json" in done.stderr
    assert command("leaderboard", "check", results, "--tables", tables).returncode == 0

    (tables / "leaderboard.csv").write_text("table\n")
    check_failed(command("leaderboard", "check", results, "--tables", tables), 4, "leaderboard.csv", "build")
    assert command("leaderboard", "build", results, "--out", tables, "--no-plots").returncode == 0

    sample_records.save(results, sample_records.make("new", version=2))
    check_failed(command("leaderboard", "check", results, "--tables", tables), 4, "build")
    assert command("leaderboard", "build", results, "--out", tables, "--no-plots").returncode == 0
    shutil.rmtree(results / sample_records.make("new", version=2).model.fingerprint[:8])
    check_failed(command("leaderboard", "check", results, "--tables", tables), 4)
    command("leaderboard", "build", results, "--out", tables, "--no-plots")  # takes away the table of version 2
    assert command("leaderboard", "check", results, "--tables", tables).returncode == 0
    assert sum(path.name.startswith("harm-") for path in tables.iterdir()) == 2


def test_build_does_not_write_among_other_files(tmp_path):
    (tmp_path / "paper.tex").write_text("mine")
    done = command(
        "leaderboard", "build", sample_records.save(tmp_path / "r", sample_records.make()), "--out", tmp_path
    )
    check_failed(done, 2, "paper.tex", "empty folder")
    check_failed(command("leaderboard", "build", tmp_path / "nowhere", "--out", tmp_path / "t"), 2, "nowhere")


def private():
    """A record with all that must not be published."""
    manifest = {
        "method": "dpo", "base_model": {"name": "/home/ana/models/base", "revision": None, "weights_digest": None},
        "config": {"output": "/home/ana/out", "learning_rate": 1e-6, "template": "Say\nthis", "url": "http://intern/x"},
        "data": {"files": ["/home/ana/data/rows.jsonl"], "languages": ["en"]}, "host": "ana-laptop", "tokens": 1200,
        "mlc_tokens": 900,
    }  # fmt: skip
    content = sample_records.make("/home/ana/models/mine", training=manifest, system_prompt="Our secret policy.")
    spec = content.spec.model_copy(
        update={"base_url": "http://ana:pw@intern:8000/v1", "engine_args": {"download_dir": "/home/ana/c", "seed": 1}}
    )
    content.tasks[0].policy = {"system_prompt": "Our secret policy.", "limit": None}
    content.tasks[0].error = "/home/ana/x failed"
    content.model.engine_args = {"download_dir": "/home/ana/c", "token": "hf_secret"}
    content.hardware = {"cores": 2, "host": "ana@laptop"}
    member = content.judge.model_copy(update={"model": "/home/ana/guard", "settings": {"base_url": "http://intern/v1"}})
    content.judge = content.judge.model_copy(update={"members": [member]})
    return content.model_copy(update={"spec": spec})


def test_add_takes_out_what_is_not_public_and_keeps_what_tables_need(tmp_path):
    record.write(private(), tmp_path / "run" / "run.json")
    (tmp_path / "run" / "samples").mkdir()
    (tmp_path / "run" / "samples" / "harm.jsonl").write_text('{"response": "an answer"}')
    done = command("leaderboard", "add", tmp_path / "run", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    (path,) = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert str(path) in done.stdout
    written = path.read_text()
    for secret in ("ana", "intern", "secret", "laptop", "an answer", "Say", "http"):
        assert secret not in written, secret
    assert '"chat_template": null' in written
    published = record.read(path)
    assert published.model.name == "mine"
    assert published.model.training["base_model"]["name"] == "base"
    assert published.model.training["data"] == {"files": ["rows.jsonl"], "languages": ["en"]}
    assert published.model.training["config"]["learning_rate"] == 1e-6
    counts = published.model.training["tokens"], published.model.training["mlc_tokens"]
    assert counts == (1200, 900)  # and no tokens that open a door
    assert redact.prompt_digest(published.spec.system_prompt) == redact.prompt_digest("Our secret policy.")
    # Published again it stays the same, and so do the numbers.
    assert redact.published(published) == published
    assert published.tasks[0].languages == private().tasks[0].languages


def test_tables_are_the_same_from_published_records(tmp_path):
    contents = [*sample_records.family(), sample_records.make("prompted", system_prompt="Be good.")]
    sample_records.save(tmp_path / "own", *contents)
    for path in sorted((tmp_path / "own").rglob("run.json")):
        add.add(path, tmp_path / "public")
    made = [build.documents(build.leaderboard([tmp_path / name])) for name in ("own", "public")]
    assert made[0] == made[1]


def test_add_refuses_what_no_table_would_show(tmp_path):
    record.write(sample_records.make("m", limit=5), tmp_path / "slice" / "run.json")
    check_failed(command("leaderboard", "add", tmp_path / "slice", "--results", tmp_path / "r"), 2, "--limit 5")
    record.write(sample_records.make("a\u202eb"), tmp_path / "rtl" / "run.json")
    check_failed(command("leaderboard", "add", tmp_path / "rtl", "--results", tmp_path / "r"), 2, "U+202E")
    (tmp_path / "empty").mkdir()
    check_failed(command("leaderboard", "add", tmp_path / "empty", "--results", tmp_path / "r"), 2, "run.json")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    check_failed(command("leaderboard", "add", tmp_path / "bad", "--results", tmp_path / "r"), 4, "not a run record")
    assert not (tmp_path / "r").exists()


def test_add_does_not_replace_other_results_of_a_run(tmp_path):
    record.write(sample_records.make("m", run="f" * 12), tmp_path / "one" / "run.json")
    other = sample_records.make(
        "m", run="f" * 12, strings={"harm": sample_records.outcomes("x", "y", sample_records.LANGUAGES, 40)}
    )
    record.write(other, tmp_path / "two" / "run.json")
    for _ in range(2):
        assert command("leaderboard", "add", tmp_path / "one", "--results", tmp_path / "r").returncode == 0
    check_failed(command("leaderboard", "add", tmp_path / "two", "--results", tmp_path / "r"), 4, "other results")


def test_a_run_of_two_judges_is_added_whole(tmp_path):
    for judge, name in (("rules", "run.json"), ("guard", "run.guard.json")):
        record.write(sample_records.make("m", judge=judge, run="a" * 12), tmp_path / "run" / name)
    assert len(add.add(tmp_path / "run", tmp_path / "r")) == 2


def test_the_committed_tables_are_what_the_committed_records_give():
    ours = ROOT / "leaderboard"
    assert build.check([ours / "results"], ours / "tables") > 0


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["build"], "results"),
        (["build", "records"], "--out"),
        (["check"], "results"),
        (["check", "records"], "--tables"),
        (["add"], "runs"),
        (["add", "run"], "--results"),
    ],
)
def test_the_folders_have_no_defaults(arguments, missing):
    check_failed(command("leaderboard", *arguments), 2, missing)
