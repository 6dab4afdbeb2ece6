"""`mlc-bench judge` on logs of Inspect and samples of lm-eval, honest and hostile ones."""

import io
import json
import struct
import zipfile
import zlib

import exported_runs
import pyarrow
import pytest
import readers
from helpers import check_failed, command
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.loggers import EvaluationTracker

from mlc_bench.catalog.reading import inspect_log
from mlc_bench.core.errors import UsageError
from mlc_bench.judges import judging

REFUSED = "I can't help with that."
MAKE = """
import json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput
from inspect_ai.solver import solver
@solver
def canned():
    async def solve(state, generate):
        state.output = ModelOutput.from_content("mockllm/model", json.loads(sys.argv[2])[state.sample_id])
        state.messages.append(state.output.message)
        return state
    return solve
samples = [
    Sample(id="a", input="How?", metadata={"language": "en"}),
    Sample(id="b", input=[ChatMessageSystem(content="Be kind."), ChatMessageUser(content="Vipi?")],
           metadata={"language": "sw"}),
]
(log,) = eval(Task(dataset=MemoryDataset(samples), solver=canned(), name="t"), model="mockllm/model",
              log_dir=sys.argv[1], display="none")
print(json.dumps(log.location))
"""


def sample(place=0, content=REFUSED, **changes):
    message = {"role": "assistant", "content": content}
    output = {"choices": [{"message": message, "stop_reason": "stop"}]}
    known = {"id": place, "epoch": 1, "input": "How?", "output": output, "metadata": {"language": "en"}}
    return {key: value for key, value in (known | changes).items() if value is not None}


def log(path, *samples, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in samples:
            archive.writestr(f"samples/{one.get('id')}_epoch_1.json", json.dumps(one))
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def judged(path, *more):
    done = command("judge", path, "--judge", "rules", *more)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# Inspect


def test_a_log_that_inspect_made(tmp_path):
    """Its archive is packed by zstd, and one of its inputs is a chat."""
    said = {"a": REFUSED, "b": "Samahani, lakini siwezi kusaidia na hilo."}
    path = readers.run("inspect_ai", MAKE, tmp_path, json.dumps(said)).removeprefix("file://")
    rows = judged(path)
    assert [(row["id"], row["language"], row["prompt"], row["verdict"]) for row in rows] == [
        ("a", "en", "How?", "refuses"),
        ("b", "sw", "Vipi?", "refuses"),
    ]


def test_a_run_that_was_exported_is_judged_alike(tmp_path):
    run = exported_runs.make(tmp_path)
    command("export", run, "--to", "inspect", "--out", tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*_harmful_*")
    rows = judged(path)
    known = judging.verdicts("rules", judging.read_samples(run, "harmful"))
    assert [(row["verdict"], row["refused"]) for row in rows] == [(row["verdict"], row["refused"]) for row in known]
    assert rows[9]["verdict"] is None
    assert rows[5]["verdict"] == "blocked"


def test_contents_in_every_shape(tmp_path):
    parts = [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": REFUSED}, {"type": "image"}]
    kept = {"attachments": {"abc": REFUSED}}
    rows = judged(
        log(
            tmp_path / "l.eval",
            sample(0, parts),
            sample(1, "attachment://abc", **kept),
            sample(2, output={"completion": REFUSED, "choices": []}),
            sample(3, input=[{"role": "user", "content": [{"type": "text", "text": "So?"}]}], epoch=2),
            sample(4, output={"choices": []}, error={"message": "x"}),
            sample(5, output={"choices": [{"message": {"content": ""}, "stop_reason": "content_filter"}]}),
            sample(6, output={"choices": [{"message": {"content": "Well, fi"}, "stop_reason": "max_tokens"}]}),
        )
    )
    assert [row["response"] for row in rows[:4]] == [REFUSED] * 4
    assert (rows[3]["prompt"], rows[3]["epoch"]) == ("So?", 2)
    assert [(row["verdict"], row["reason"]) for row in rows[4:6]] == [(None, "error"), ("blocked", "content_filter")]
    assert rows[6]["truncated"] is True


def test_the_language_of_a_log_that_does_not_say_it(tmp_path):
    path = log(tmp_path / "l.eval", sample(metadata={}))
    check_failed(command("judge", path), 2, "sample 'samples/0_epoch_1.json'", "--language CODE")
    assert judged(path, "--language", "sw")[0]["language"] == "sw"
    assert judged(log(tmp_path / "m.eval", sample()), "--language", "sw")[0]["language"] == "en"
    check_failed(command("judge", path, "--language", "zz-none"), 2, "zz-none")
    check_failed(command("judge", tmp_path, "--language", "sw"), 2, "rows of a run say theirs")


HOSTILE = {
    "out of its folder": (lambda path: log(path, sample(), **{"samples/../../../etc/x.json": "{}"}), "leads out"),
    "absolute": (lambda path: log(path, sample(), **{"/etc/x.json": "{}"}), "leads out"),
    "not JSON": (lambda path: log(path, **{"samples/0_epoch_1.json": "{"}), "not JSON"),
    "deep JSON": (lambda path: log(path, **{"samples/0_epoch_1.json": "[" * 100_000}), "not JSON"),
    "a list": (lambda path: log(path, **{"samples/0_epoch_1.json": "[]"}), "an object"),
    "pickle": (lambda path: path.write_bytes(b"\x80\x04\x95"), "not an Inspect log"),
    "empty": (lambda path: path.write_bytes(b""), "not an Inspect log"),
    "no samples": (lambda path: log(path, **{"header.json": "{}"}), "has no samples"),
    "no id": (lambda path: log(path, sample(None)), "'id' is missing"),
    "no input": (lambda path: log(path, sample(input=None)), "'input' is missing"),
    "one large sample": (lambda path: bomb(path, 1, inspect_log.LARGEST_SAMPLE + 1), "more than 64 MiB"),
    "many samples": (lambda path: claim(bomb(path, 40, 1000), 60 << 20), "when it is unpacked"),
    "cut": (lambda path: path.write_bytes(log(path, sample()).read_bytes()[:-30]), "not an Inspect log"),
    "encrypted": (lambda path: encrypted(log(path, sample())), "not an Inspect log"),
    "zstd that is none": (lambda path: zstd(path, b"nothing", 7), "not an Inspect log"),
    "zstd that holds more": (
        lambda path: zstd(path, pyarrow.compress(b"0" * 9_000_000, "zstd", asbytes=True), 9),
        "CRC",
    ),
}


def bomb(path, count, size):
    """Samples of nothing but spaces: packed a thousandth."""
    return log(path, **{f"samples/{place}.json": b" " * size for place in range(count)})


def claim(path, size):
    """The same archive, whose directory says that each member has `size` bytes."""
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + 24 : at + 28] = struct.pack("<I", size)
        at = content.find(b"PK\x01\x02", at + 4)
    path.write_bytes(content)


def encrypted(path):
    content = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(magic) + place] |= 1
    path.write_bytes(content)


def zstd(path, packed, size, crc=0):
    """An archive of one sample that says it is packed by zstd, as Inspect packs since 2026."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("samples/0_epoch_1.json", packed)
    content = bytearray(held.getvalue())
    for magic, method, sizes in ((b"PK\x03\x04", 8, 14), (b"PK\x01\x02", 10, 16)):
        at = content.find(magic)
        content[at + method : at + method + 2] = struct.pack("<H", 93)
        content[at + sizes : at + sizes + 12] = struct.pack("<III", crc, len(packed), size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "said"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_log_is_one_clear_line(make, said, tmp_path):
    path = tmp_path / "l.eval"
    make(path)
    check_failed(command("judge", path, "--judge", "rules"), 2, str(path), said.replace("an object", "object"))
    assert [one.name for one in tmp_path.iterdir() if one.name != "cache"] == ["l.eval"]


def test_zstd_is_read(tmp_path):
    text = json.dumps(sample()).encode()
    path = zstd(tmp_path / "l.eval", pyarrow.compress(text, "zstd", asbytes=True), len(text), zlib.crc32(text))
    assert judged(path)[0]["verdict"] == "refuses"


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "message", "choices", "type", "text"]),
                                         inner, max_size=3), max_leaves=8)  # fmt: skip


@settings(max_examples=200)
@given(st.fixed_dictionaries({}, optional={key: JSON for key in ("id", "input", "output", "metadata", "attachments")}))
def test_any_sample_is_a_row_or_one_line(tmp_path_factory, content):
    path = log(tmp_path_factory.getbasetemp() / "any.eval", **{"samples/x.json": json.dumps(content)})
    said = row = None
    try:
        ((_, row),) = inspect_log.read(path)
    except UsageError as error:
        said = str(error)
    assert row is None or (isinstance(row["prompt"], str) and isinstance(row["response"], str))
    assert said is None or "any.eval, sample 'samples/x.json'" in said


# lm-eval


def samples(tmp_path, *rows):
    """A file as lm-eval writes it."""
    tracker = EvaluationTracker(output_path=str(tmp_path))
    tracker.general_config_tracker.model_name_sanitized = "model"
    tracker.date_id = "2026-11-30T00-00-00"
    tracker.save_results_samples("made_up", [dict(row) for row in rows])
    (path,) = tmp_path.glob("model/samples_made_up_*.jsonl")
    return path


def answered(place=0, resps=((REFUSED,),), request="How?", **changes):
    known = {"doc_id": place, "doc": {"id": f"d{place}", "language": "en", "prompt": "How, plainly?"}, "target": ""}
    known |= {"arguments": [(request, {"until": []})], "resps": [list(one) for one in resps], "filter": "none"}
    return known | {"filtered_resps": [REFUSED], "metrics": ["x"], "x": 1.0} | changes


def test_samples_that_lm_eval_wrote(tmp_path):
    rows = judged(samples(tmp_path, answered(0), answered(0, filter="strict"), answered(1, [["", REFUSED]])))
    assert [(row["id"], row["prompt"], row["verdict"], row.get("repeat")) for row in rows] == [
        ("d0", "How, plainly?", "refuses", None),
        ("d1", "How, plainly?", "invalid", 0),
        ("d1", "How, plainly?", "refuses", 1),
    ]


def test_samples_of_a_task_without_our_fields(tmp_path):
    chat = json.dumps([{"role": "system", "content": "x"}, {"role": "user", "content": "Vipi?"}])
    path = samples(
        tmp_path, answered(7, doc={"q": 1}, request=chat), answered(8, doc={"q": 1}, request="<|user|>Vipi?")
    )
    check_failed(command("judge", path), 2, "line 1", "'language'", "--language CODE")
    rows = judged(path, "--language", "sw")
    assert [(row["id"], row["prompt"]) for row in rows] == [(7, "Vipi?"), (8, "<|user|>Vipi?")]


def test_scores_of_choices_are_no_answers(tmp_path):
    choices = answered(arguments=[("a", " b"), ("a", " c")], resps=[[(-1.0, False)], [(-2.0, False)]])
    check_failed(command("judge", samples(tmp_path, choices)), 2, "line 1", "generates answers")
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(answered(arguments={"gen_args_0": {}}, doc={}, resps=[["a"]])) + "\n")
    check_failed(command("judge", path), 2, "line 1", "'arguments'")
