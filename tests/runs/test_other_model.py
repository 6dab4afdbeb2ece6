"""A server that answers with another model under the same name: found by its list of models, said, kept apart."""

import json
from pathlib import Path

import pytest
from fake_server import answer, serve
from helpers import command
from server_runs import asks


def card(name, **more):
    return {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "root": "/a", "max_model_len": 4096} | more


OTHERS = {
    "another root": card("m", root="/b"),
    "another owner": card("m", owned_by="sglang"),
    "another context": card("m", max_model_len=8192),
    "an adapter's parent": card("m", parent="base"),
    "figures of llama.cpp": card("m", meta={"n_params": 2}),
    "no more than a name": {"id": "m"},
}
SAME = {
    "as it was": card("m"),
    "started later": card("m", created=2, permission=[{"id": "x", "created": 3}]),
    "with others beside it": [card("n", root="/n"), card("m")],
}


def serving(server, entries):
    server.models = entries if isinstance(entries, list) else [entries]


def scored(server, output, *more):
    done = command(*asks(server, output, "--limit", "4", "--json", *more))
    return done, json.loads(done.stdout)[0] if done.returncode == 0 else None


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("is_finished", [True, False])
def test_another_model_at_the_same_address(name, is_finished, tmp_path):
    output = tmp_path / "r"
    with serve() as server:
        serving(server, card("m"))
        _, first = scored(server, output)
        if not is_finished:
            next(output.glob("*/*/generation.json")).unlink()
        server.asked.clear()
        serving(server, OTHERS[name])
        server.answer = lambda body: other(body)
        done, second = scored(server, output)
        assert len(server.answered) == 4
        assert second["responses"] == {"generated": 4, "from_store": 0}
        assert "another model answers to 'm'" in done.stderr
        assert second["model"]["fingerprint"] != first["model"]["fingerprint"]
        if is_finished:
            kept = [path for path in output.glob("*/*/run.json") if path.parent.name != second["run_id"]]
            assert [json.loads(path.read_text())["model"]["fingerprint"] for path in kept] == [
                first["model"]["fingerprint"]
            ]
            assert str(kept[0].parent) in done.stderr
        # The first model is back: its answers are there.
        serving(server, card("m"))
        server.asked.clear()
        _, third = scored(server, output)
        assert server.asked == []
        assert third["tasks"] == first["tasks"]


def other(body):
    status, content = answer(body)
    content["choices"][0]["message"]["content"] = "Sure, here is how."
    return status, content


@pytest.mark.parametrize("name", SAME)
def test_the_same_model_at_the_same_address(name, tmp_path):
    with serve() as server:
        serving(server, card("m"))
        _, first = scored(server, tmp_path)
        serving(server, SAME[name])
        server.asked.clear()
        done, second = scored(server, tmp_path)
        assert server.asked == []
        assert "another" not in done.stderr
        assert second["model"]["fingerprint"] == first["model"]["fingerprint"]


@pytest.mark.parametrize("offered", [["n"], ["n", "o"]])
@pytest.mark.parametrize("is_finished", [True, False])
def test_the_model_is_served_no_longer(offered, is_finished, tmp_path):
    with serve() as server:
        serving(server, [card("m"), card("x")])
        scored(server, tmp_path)
        if not is_finished:
            next(tmp_path.glob("*/*/generation.json")).unlink()
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.json*")}
        serving(server, [card(name) for name in offered])
        server.asked.clear()
        done, _ = scored(server, tmp_path)
        assert done.returncode == 3
        last = done.stderr.splitlines()[-1]
        assert f"serves 'm' no longer; it serves {', '.join(offered)}" in last
        assert server.asked == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json*")} == before


def test_a_server_that_has_one_model_under_any_name(tmp_path):
    """llama.cpp answers to every name with the model that it was started with."""
    with serve() as server:
        serving(server, {"id": "a.gguf", "meta": {"n_params": 1}})
        scored(server, tmp_path)
        server.asked.clear()
        serving(server, {"id": "b.gguf", "meta": {"n_params": 1}})
        done, record = scored(server, tmp_path)
        assert record["responses"]["generated"] == len(server.answered) == 4
        assert "another model answers to 'm'" in done.stderr
        assert "b.gguf" in done.stderr


def test_a_server_that_is_gone(tmp_path):
    with serve() as server:
        serving(server, card("m"))
        _, first = scored(server, tmp_path)
    done, second = scored(server, tmp_path)
    assert second["tasks"] == first["tasks"]
    assert "does not say which model it has" in done.stderr


@pytest.mark.parametrize(
    "reply", [b"", b"<html>", b"[]", b"{}", b'{"data": null}', b'{"data": [1, {"x": 1}]}', b"null"]
)
def test_a_server_without_a_list(reply, tmp_path):
    with serve() as server:
        server.models = reply
        _, first = scored(server, tmp_path)
        done, second = scored(server, tmp_path)
        assert second["tasks"] == first["tasks"]
        assert "another" not in done.stderr


def test_the_key_is_sent_with_the_question(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "hush")
    with serve() as server:
        serving(server, card("m"))
        scored(server, tmp_path)
        assert "Bearer hush" in [headers.get("Authorization") for headers in server.listed]
    assert "hush" not in "".join(path.read_text() for path in Path(tmp_path).rglob("*.json*"))
