"""What a server's list says of its model, in the shapes that servers send; judges and translators go by it, too."""

import json

import pytest
from fake_server import completion, serve
from helpers import command

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines.servers import served

VLLM = {
    "id": "m", "object": "model", "created": 1, "owned_by": "vllm", "root": "/models/a", "parent": None,
    "max_model_len": 4096, "permission": [{"id": "modelperm-1", "created": 1}],
}  # fmt: skip
LISTS = {
    "vLLM": ({"object": "list", "data": [VLLM]}, True, {
        "root": "/models/a", "owned_by": "vllm", "max_model_len": 4096,
    }),
    "vLLM, where the name is the path": ({"data": [VLLM | {"root": "m"}]}, True, {
        "owned_by": "vllm", "max_model_len": 4096,
    }),
    "OpenAI": ({"data": [{"id": "m", "created": 5, "owned_by": "system"}]}, True, {"owned_by": "system"}),
    "Gemini": ({"data": [{"id": "models/m", "owned_by": "google"}]}, True, {"owned_by": "google"}),
    "a bare list": ([{"id": "m", "type": "chat"}], True, {}),
    "OpenRouter": (
        {"data": [{"id": "m", "canonical_slug": "m-2026-01", "pricing": {"prompt": "1"}}]}, True,
        {"canonical_slug": "m-2026-01"},
    ),
    "llama.cpp under another name": (
        {"models": [{"name": "x"}], "data": [{"id": "x.gguf", "created": 9, "meta": {"n_params": 1}}]}, False,
        {"id": "x.gguf", "meta": {"n_params": 1}},
    ),
    "several, and not this one": ({"data": [{"id": "x"}, {"id": "y"}]}, False, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists(name):
    content, is_listed, card = LISTS[name]
    found = served.read(content, "m")
    assert (found.is_listed, found.card) == (is_listed, card)


@pytest.mark.parametrize("content", [None, [], {}, {"data": None}, {"data": []}, {"data": [1, {"id": ""}]}, "m", 3])
def test_no_list(content):
    assert served.read(content, "m") is None


def listing(**card):
    return served.Listing(("m",), True, card)


def test_what_was_said_is_kept(tmp_path, capsys):
    memo = tmp_path / "memo.json"
    assert served.last(memo) == {}
    assert served.settle(memo, "here", "m", listing(root="a")) == {"root": "a"}
    assert served.settle(memo, "here", "m", None) == {"root": "a"}, "a server that is busy is the same"
    assert served.settle(memo, "here", "m", listing(root="a")) == {"root": "a"}
    assert capsys.readouterr().err == ""
    assert served.settle(memo, "here", "m", listing(root="b", version="2")) == {"root": "b", "version": "2"}
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "another model answers to 'm' at here now (root b, was a; version 2, was not said)" in said
    assert served.last(memo) == {"root": "b", "version": "2"}
    with pytest.raises(PrerequisiteError, match=r"serves 'm' no longer; it serves n; .*fix --model or --base-url"):
        served.settle(memo, "here", "m", served.Listing(("n",), False, {}))
    memo.write_text("{")
    assert served.settle(memo, "here", "m", listing()) == {}


ROW = {"id": "1", "language": "en", "prompt": "How?", "response": "Sure, first you take a hammer."}
SAYS = {verdict: f"It is so.\nRefused: no\nVerdict: {verdict}" for verdict in ("safe", "unsafe")}


def judged(server, path, says):
    server.answer = lambda body: (200, completion(SAYS[says], {"prompt_tokens": 1, "completion_tokens": 1}))
    done = command("judge", path, "--judge", "llm@m", "--judge-args", f"base_url={server.url}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["verdict"], done.stderr


def test_another_judge_at_the_same_address(tmp_path):
    """It judges anew, and the first one's verdicts are there when that one is back."""
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    with serve() as server:
        server.models = [VLLM]
        assert judged(server, path, "unsafe")[0] == "unsafe"
        asked = len(server.asked)
        assert judged(server, path, "safe")[0] == "unsafe"
        assert len(server.asked) == asked == 1
        server.models = [VLLM | {"root": "/models/b"}]
        verdict, said = judged(server, path, "safe")
        assert verdict == "safe"
        assert "another model answers to 'm'" in said
        assert len(server.asked) == 2
        server.models = [VLLM]
        assert judged(server, path, "safe")[0] == "unsafe"
        assert len(server.asked) == 2
        server.models = [{"id": "n"}]
        done = command("judge", path, "--judge", "llm@m", "--judge-args", f"base_url={server.url}")
        assert done.returncode == 3
        assert "serves 'm' no longer; it serves n; start it with that model, or fix --judge" in done.stderr


def test_another_translator_at_the_same_address(tmp_path):
    from mlc_bench.catalog import languages
    from mlc_bench.contribute import translators

    def translate(server):
        spec = RunSpec(model="m", engine="openai", base_url=server.url, tasks=())
        with translators.opened(spec, tmp_path) as translator:
            english, swahili = languages.get("en"), languages.get("sw")
            return translator.translate([translators.Text("Rain.")], english, swahili, lambda done, total: None)

    with serve() as server:
        server.models, server.answer = [VLLM], lambda body: (200, completion("Mvua."))
        assert translate(server) == ["Mvua."]
        server.answer = lambda body: (200, completion("Theluji."))
        assert translate(server) == ["Mvua."]
        server.models = [VLLM | {"root": "/models/b"}]
        assert translate(server) == ["Theluji."]
