"""Judges and models by their names on the leaderboard: accepted, harmless, and never two under one name."""

import csv
import io
import json
import re

import pytest
import sample_records
from helpers import check_failed, command
from markdown_it import MarkdownIt

from mlc_bench.core.spec import slug
from mlc_bench.leaderboard import build, collect, redact
from mlc_bench.leaderboard.render import to_csv, to_html, to_latex, to_markdown
from mlc_bench.records import record

JUDGES = (
    "rules",
    "mine",
    "llm@org/model",
    "llm@gpt-oss:20b",
    "qwen3guard-0.6b@guard-76b27bd1",
    "llm@org/model.v1+x",
    "majority(rules,llm@org/model)",
    "strictest(rules,qwen3guard-0.6b@a/b,llm-translate@c/d)",
    "majority(" + ",".join(f"llm@organisation-{i}/a-model-of-some-size-{i}" for i in range(8)) + ")",
    "llm@<script>alert(1)</script>",
    "llm@=HYPERLINK(1)",
    "llm@../../../../tmp/x",
    "llm@a b | **c** $\\frac{1}{0}$",
    "llm@نموذج",
)
REFUSED = {
    "../rules": "is not NAME",
    "<script>": "is not NAME",
    "llm@": "is not NAME",
    "@org/model": "is not NAME",
    "": "is empty",
    "best(a,b)": "is not NAME",
    "majority(a,)": "is not NAME",
    "llm@a\u202eb": "U+202E",
    "llm@a\nb": "U+000A",
    "llm@" + "x" * 700: "more than 600",
}


def judged(judge, **more):
    return sample_records.make("m", judge=judge, n=10, languages=("en", "sw"), **more)


def written(folder, *contents):
    for index, content in enumerate(contents):
        record.write(content, folder / str(index) / "run.json")
    return folder


@pytest.mark.parametrize("judge", JUDGES)
def test_any_judge_is_added_and_shown_escaped(tmp_path, judge):
    run = written(tmp_path / "run", judged(judge))
    done = command("leaderboard", "add", run, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    done = command("leaderboard", "build", tmp_path / "results", "--out", out, "--no-plots", "--no-page", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["left_out"] == []
    public = redact.published(judged(judge)).judge.id
    board = build.leaderboard([tmp_path / "results"])
    assert {table.judge for table in board.main} == {public}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", table.id) for table in (*board.main, *board.tasks))
    assert all(path.parent == out for path in out.rglob("*"))
    page = MarkdownIt("commonmark").enable("table").render((out / "README.md").read_text())
    assert not re.search(r"<(script|a|img)\b", page)
    assert "<script>alert" not in to_html.document(board)
    rows = csv.DictReader(io.StringIO(to_csv.long(board)))
    assert not any(row["table"].startswith(tuple("=+-@")) for row in rows)
    assert "\\frac" not in to_latex.table(board.main[0])
    assert to_markdown.escape(public)[:150] in to_markdown.document(board)  # the longest are cut


@pytest.mark.parametrize(("judge", "why"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_no_judge_is_refused(tmp_path, judge, why):
    run = written(tmp_path / "run", judged(judge))
    check_failed(command("leaderboard", "add", run, "--results", tmp_path / "results"), 2, "judge.id", why)
    assert not (tmp_path / "results").exists()


def test_folders_of_the_machine_are_not_published():
    content = judged("majority(rules,llm@/home/ana/models/final)")
    member = content.judge.model_copy(update={"id": "llm@/home/ana/models/final", "model": "/home/ana/models/final"})
    pairs = {"rules, llm@/home/ana/models/final": 0.5}
    agreement = {"harm": {"en": record.Agreement(n=3, fleiss_kappa=0.5, cohen_kappa=pairs)}}
    content.judge = content.judge.model_copy(
        update={"members": [member], "version": "llm@/home/ana/models/final 1", "agreement": agreement}
    )
    public = redact.published(content)
    assert "/home" not in public.model_dump_json()
    assert (public.judge.id, public.spec.judge) == ("majority(rules,llm@final)", "majority(rules,llm@final)")
    assert public.judge.agreement["harm"]["en"].cohen_kappa == {"rules, llm@final": 0.5}


def two_judges():
    """The same run judged by two judges of one id and version, as records of older versions have them."""
    first = judged("llm@final", run="a" * 12)
    second = judged("llm@final", run="a" * 12, strings={"harm": {"en": "0" * 10, "sw": "0" * 10}})
    second.judge = second.judge.model_copy(update={"digest": sample_records.sha("another")})
    return first, second


@pytest.mark.parametrize("is_added", [True, False], ids=["added", "as they are"])
def test_two_judges_of_one_name_share_no_column(tmp_path, is_added):
    first, second = two_judges()
    folder = tmp_path / "run"
    record.write(first, folder / "run.json")
    record.write(second, folder / "run.llm@final.json")
    if is_added:
        done = command("leaderboard", "add", folder, "--results", tmp_path / "results")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == len(set(done.stdout.splitlines())) == 2
        folder = tmp_path / "results"
    board = build.leaderboard([folder])
    names = {f"llm@final [{one.judge.digest[:8]}]" for one in (first, second)}
    assert {table.judge for table in board.main} == names
    assert len({table.id for table in (*board.main, *board.tasks)}) == len([*board.main, *board.tasks])
    rates = {table.judge: table.rows[0].cells["average"].value for table in board.tasks if "harm" in table.title}
    assert rates[f"llm@final [{second.judge.digest[:8]}]"] == 0.0
    assert rates[f"llm@final [{first.judge.digest[:8]}]"] > 0.0
    for table in board.main:
        assert {column.id.rsplit(".", 1)[0] for column in table.columns} <= {
            one.id for one in board.tasks if one.judge in (table.judge, "")
        }


def test_two_versions_of_a_judge_have_main_tables_of_their_own_the_newest_first(tmp_path):
    old, new = judged("rules", run="a" * 12), judged("rules", run="b" * 12)
    old.judge = old.judge.model_copy(update={"version": "9"})
    new.judge = new.judge.model_copy(update={"version": "10", "digest": sample_records.sha("new")})
    board = build.leaderboard([written(tmp_path, old, new)])
    assert [(table.id, table.title.rpartition("judge ")[2]) for table in board.main] == [
        ("main-rules-10", "rules 10"),
        ("main-rules-9", "rules 9"),
    ]
    harm = [table for table in board.tasks if table.title.startswith("harm version 1, judge rules ")]
    assert [table.title.partition(";")[0].rpartition(" ")[2] for table in harm] == ["10", "9"]
    for main, task, other in zip(board.main, harm, harm[::-1], strict=True):
        ids = {column.id.split(".")[0] for column in main.columns}
        assert task.id in ids
        assert other.id not in ids


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([("final", None, "A"), ("final", None, "B")], ["final [A]", "final [B]"]),
        ([("final", None, "A"), ("final", None, "A")], ["final", "final"]),
        ([("base", "final", "A"), ("base", "final", "B")], ["base + final [A]", "base + final [B]"]),
        ([("final", None, "A"), ("other", None, "B")], ["final", "other"]),
        ([("final", None, "A"), ("final", None, "B"), ("final", None, "B")], ["final [A]", "final [B]", "final [B]"]),
    ],
)
def test_two_models_of_one_name_have_labels_of_their_own(tmp_path, names, labels):
    """`names`: model, adapter, and which files the model (or its adapter) has."""
    contents, digests = [], {}
    for place, (name, adapter, files) in enumerate(names):
        content = sample_records.make(name, adapter=adapter, run=f"{place}" * 12, n=10, languages=("en",))
        weights = sample_records.sha(f"files {files}")
        digests[files] = weights[:8]
        info = {"fingerprint": sample_records.sha(f"{files} {place}"), "engine_version": str(place)}
        if adapter:
            info["adapter"] = record.AdapterInfo(name=adapter, digest=weights)
        else:
            info["weights_digest"] = weights
        content.model = content.model.model_copy(update=info)
        contents.append(content)
    found = collect.collect([written(tmp_path, *contents)])
    wanted = [re.sub(r"\[(\w)\]", lambda match: f"[{digests[match[1]]}]", label) for label in labels]
    assert [found.models[content.model.fingerprint].label for content in contents] == wanted
    assert set(found.frame["model"]) == set(wanted)


def test_names_of_files_are_told_apart():
    same = {slug(name) for name in ("llm@a/b", "llm@a__b", "llm@a:b", "llm@a//b", "llm@a b", "llm@a/_b", "llm@a_/b")}
    assert len(same) == 7
    long = [f"majority({','.join(f'llm@organisation/model-{i}' for i in range(9))},{last})" for last in ("a", "b")]
    assert len({slug(name) for name in long}) == 2
    # Those of earlier versions stay where nothing is ambiguous.
    assert slug("llm@org/model") == "llm@org__model"
    assert slug("majority(rules,llm@a/b)") == "majority+rules+llm@a__b"
