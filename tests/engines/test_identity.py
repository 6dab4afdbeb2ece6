"""Which model answered: what changes a fingerprint and what does not, names as folders, secrets, several adapters."""

import base64
import json
import os
import re
import shutil

import pytest
from fake_server import serve
from helpers import check_failed, command, make_adapter
from hypothesis import given
from hypothesis import strategies as st

from mlc_bench import runner
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import lifecycle
from mlc_bench.engines.identity import Adapter, Identity, _file_digest, resolve
from mlc_bench.records import record

SMALL = ["--tasks", "starter_harmful", "--languages", "en", "--limit", "3", "--max-tokens", "6"]


def identity(model, adapter=None):
    return resolve(RunSpec(model=str(model), engine="hf", tasks=("pku",), adapter=adapter and str(adapter)))


def _weight(folder, name="model.safetensors", key="model.norm.weight"):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / name)
    tensors[key].view(-1)[0] += 1e-3
    save_file(tensors, folder / name, metadata={"format": "pt"})


def _edit(name, **changes):
    def change(folder):
        path = folder / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | changes))

    return change


CHANGES = {
    "a weight": _weight,
    "chat template": lambda folder: (folder / "chat_template.jinja").open("a").write(" "),
    "config": _edit("config.json", rope_theta=5.0),
    "generation settings": _edit("generation_config.json", repetition_penalty=1.5),
    "tokenizer": _edit("tokenizer_config.json", add_bos_token=True),
    "added tokens": _edit("added_tokens.json", new=261),
    "more weights": lambda folder: shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_answers_changes_the_fingerprint(name, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "tiny")
    assert identity(model).fingerprint == identity(tiny_model).fingerprint
    CHANGES[name](model)
    assert identity(model).fingerprint != identity(tiny_model).fingerprint


def test_a_folder_that_moves_keeps_its_fingerprint(tiny_model, other_tiny_model, tmp_path):
    before = identity(tiny_model)
    moved = shutil.copytree(tiny_model, tmp_path / "another name")
    (moved / "README.md").write_text("# Read me")
    (moved / "trainer_state.json").write_text("{}")
    after = identity(moved)
    assert after.name != before.name
    assert after.fingerprint == before.fingerprint
    os.symlink(moved, tmp_path / "link")
    assert identity(tmp_path / "link") == after
    assert identity(other_tiny_model).slug == before.slug
    assert identity(other_tiny_model).fingerprint != before.fingerprint


def test_adapters_change_the_fingerprint(tiny_model, tmp_path):
    one = make_adapter(tiny_model, tmp_path / "one", seed=1)
    same = shutil.copytree(one, tmp_path / "same")
    two = make_adapter(tiny_model, tmp_path / "two", seed=2)
    found = {name: identity(tiny_model, adapter) for name, adapter in {"base": None, "1": one, "2": two}.items()}
    assert len({entry.fingerprint for entry in found.values()}) == 3
    assert identity(tiny_model, same).fingerprint == found["1"].fingerprint
    assert found["1"].slug == "tiny+one"
    _weight(same, "adapter_model.safetensors", "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight")
    assert identity(tiny_model, same).fingerprint != found["1"].fingerprint
    # One base model, whatever adapter it carries.
    assert len({entry.weights_digest for entry in found.values()}) == 1


def test_the_digest_of_a_large_file_is_remembered_until_it_changes(tmp_path, monkeypatch):
    import hashlib

    path = tmp_path / "weights"
    path.write_bytes(bytes(1 << 24))
    first = _file_digest(path)
    assert first == hashlib.sha256(bytes(1 << 24)).hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", None)
        assert _file_digest(path) == first
    path.write_bytes(b"1" + bytes((1 << 24) - 1))
    os.utime(path, ns=(1, 1))
    assert _file_digest(path) != first


def named(name, adapter=None):
    part = Adapter(adapter, "", "", 1) if adapter else None
    return Identity(name, None, None, None, None, None, None, None, part)


NAMES = {
    "Qwen/Qwen3-0.6B": "Qwen__Qwen3-0.6B",
    "../../etc/passwd": "etc__passwd",
    "..": "model",
    "модель": "model",
    "a b\n\tc": "a__b__c",
    "C:\\models\\x": "C__models__x",
    "-rf": "-rf",
    "x" * 400: "x" * 120,
}


@pytest.mark.parametrize("name", NAMES)
def test_slugs(name):
    assert named(name).slug == NAMES[name]


@given(st.text(), st.none() | st.text(min_size=1))
def test_any_name_is_one_folder(name, adapter):
    slug = named(name, adapter).slug
    assert re.fullmatch(r"[A-Za-z0-9+-][A-Za-z0-9._+-]{0,119}", slug)


def test_names_that_share_a_folder_do_not_share_answers(tmp_path):
    specs = [
        RunSpec(model=model, engine="openai", base_url="http://127.0.0.1:9/v1", tasks=("starter_harmful",))
        for model in ("a/b", "a__b", "a b")
    ]
    runs = runner.prepare(specs, tmp_path)
    assert len({run.identity.slug for run in runs}) == 1
    assert len({run.folder for run in runs}) == 3
    assert len({run.store_path for run in runs}) == 3


# Secrets

SECRETS = {
    "auth_token": True, "api_key": True, "apikey": True, "token": True, "hf_token": True, "header": True,
    "Authorization": True, "password": True, "client_secret": True,
    "max_gen_toks": False, "add_bos_token": False, "max_num_batched_tokens": False, "tokenizer": False,
    "batch_size": False, "dtype": False,
}  # fmt: skip


def test_values_that_may_be_secret_are_removed():
    spec = RunSpec(model="m", engine="hf", tasks=("pku",), engine_args=dict.fromkeys(SECRETS, "hunter2"))
    shown = record.without_secrets(spec).engine_args
    assert {name: value == "(removed)" for name, value in shown.items()} == SECRETS
    assert spec.engine_args["auth_token"] == "hunter2"  # the run itself keeps it


ADDRESSES = {
    "http://user:hunter2@host:80/v1": "http://host:80/v1",
    "https://hunter2@host/v1": "https://host/v1",
    "http://us%40er:hunter2@[::1]:80/v1": "http://[::1]:80/v1",
    "http://user:hun@ter2@host/v1": "http://host/v1",
    "http://host/v1": "http://host/v1",
    "http://host/a@b/v1": "http://host/a@b/v1",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_lose_their_credentials(address):
    spec = RunSpec(model="m", engine="openai", tasks=("pku",), base_url=address)
    assert record.without_secrets(spec).base_url == ADDRESSES[address]


def asks(url, *more):
    return ["run", "--model", "m", "--engine", "openai", "--base-url", url, *SMALL, *more]


KEY = "hunter2hunter2"
BASIC = "Basic " + base64.b64encode(f"us@er:{KEY}".encode()).decode()
WAYS = {
    "token": (lambda url: asks(url, "--engine-args", f"auth_token={KEY}"), f"Bearer {KEY}"),
    "address": (lambda url: asks(url.replace("//", f"//us%40er:{KEY}@")), BASIC),
    "header": (
        lambda url: asks(url, "--engine-args", json.dumps({"Authorization": f"Bearer {KEY}"}).join(["header=", ""])),
        f"Bearer {KEY}",
    ),
    "environment": (asks, f"Bearer {KEY}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_secrets_reach_the_server_and_nothing_else(way, tmp_path, monkeypatch):
    arguments, authorization = WAYS[way]
    if way == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    encoded = BASIC.removeprefix("Basic ")
    with serve() as server:
        command_line = [*arguments(server.url), "--output", tmp_path / "results"]
        for option in ("--dry-run", "--json"):
            done = command(*command_line, option)
            assert done.returncode == 0, done.stderr
            assert KEY not in done.stdout + done.stderr
        assert {headers["Authorization"] for _, _, headers in server.asked} == {authorization}
        server.answer = lambda body: (500, b"no")
        failed = command(*command_line, "--fresh", "--engine-args", "max_retries=1")
        check_failed(failed, 3, server.url)
        assert KEY not in failed.stderr
        assert encoded not in failed.stderr
    gone = command(*command_line, "--fresh")
    check_failed(gone, 3, "no server answers")
    assert KEY not in gone.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        assert encoded.encode() not in path.read_bytes(), path


def test_another_key_goes_on_with_the_same_run(tmp_path):
    ways = [
        ("http://host/v1", {"auth_token": "one"}),
        ("http://host/v1", {"auth_token": "two"}),
        ("http://host/v1", {"header": {"Authorization": "three"}}),
        ("http://me:four@host/v1", {}),
    ]
    specs = [
        RunSpec(model="m", engine="openai", base_url=url, tasks=("pku",), engine_args=arguments)
        for url, arguments in ways
    ]
    assert len({run.run_id for run in runner.prepare(specs, tmp_path)}) == 1


# Several adapters


def _responses(output, slug):
    (path,) = output.glob(f"{slug}/*/samples/starter_harmful.jsonl")
    return [json.loads(line)["response"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_adapters_share_one_start_of_the_engine(tiny_model, tmp_path, monkeypatch):
    starts, build = [], lifecycle.build
    monkeypatch.setattr(lifecycle, "build", lambda *args: starts.append(args) or build(*args))
    adapters = [make_adapter(tiny_model, tmp_path / name, seed) for seed, name in enumerate(("one", "two", "three"))]

    def run(output, *adapters):
        named = [part for adapter in adapters for part in ("--adapter", adapter)]
        done = command("run", "--model", tiny_model, "--engine", "hf", *SMALL, *named, "--output", output, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    records = run(tmp_path / "together", *adapters)
    assert len(starts) == 1
    assert [found["model"]["adapter"]["name"] for found in records] == ["one", "two", "three"]
    assert len({found["run_id"] for found in records}) == 3
    assert all(found["responses"] == {"generated": 3, "from_store": 0} for found in records)
    for found in records:
        slug = f"tiny+{found['model']['adapter']['name']}"
        (path,) = (tmp_path / "together").glob(f"{slug}/*/run.json")
        assert json.loads(path.read_text())["model"] == found["model"]
    together = {name: _responses(tmp_path / "together", f"tiny+{name}") for name in ("one", "two", "three")}
    # An adapter answers alike in whatever company, and like no other, nor like the base model.
    run(tmp_path / "apart", adapters[2], adapters[0])
    run(tmp_path / "apart")
    assert len(starts) == 3
    for name in ("one", "three"):
        assert _responses(tmp_path / "apart", f"tiny+{name}") == together[name]
    answers = [*together.values(), _responses(tmp_path / "apart", "tiny")]
    for index in range(3):
        assert len({answer[index] for answer in answers}) == 4
    # All is there: the engine is not started.
    again = run(tmp_path / "together", *adapters)
    assert len(starts) == 3
    assert [found["tasks"] for found in again] == [found["tasks"] for found in records]
