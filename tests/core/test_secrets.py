"""What may be secret reaches no record, whatever it is called and however deep it is; what is harmless stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_bench.core import secrets
from mlc_bench.core.spec import RunSpec
from mlc_bench.records import record

SECRET = "hunter2-S3cr3t-Value"
NAMES = (
    "Authorization", "authorization", "AUTHORIZATION", "x-api-key", "X-API-Key", "apiKey", "api_key", "apikey",
    "api.key", "API KEY", "OPENAI_API_KEY", "openai_key", "HF_TOKEN", "hfToken", "hf_token", "token", "auth_token",
    "authToken", "access_token", "refresh-token", "id_token", "session_token", "password", "Passwort_password",
    "db_passwd", "pwd", "passphrase", "bearer", "bearer_token", "Cookie", "set-cookie", "cookies",
    "proxy-authorization", "client_secret", "AWS_SECRET_ACCESS_KEY", "accessKeyId", "private_key", "secret",
    "credentials", "headers", "extra_headers", "default_headers", "auth", "basic_auth", "x-auth", "signature",
    "Ocp-Apim-Subscription-Key", "jwt", "keys",
)  # fmt: skip
HARMLESS = {
    "max_tokens": 256, "max_tokens_field": "max_completion_tokens", "maxTokens": "9", "tokenizer": "org/tokenizer",
    "tokenizer_mode": "auto", "tokenizer_revision": "main", "token_count": "5", "num_tokens": "4", "eos_token": "</s>",
    "stop_token_ids": [1, 2], "suppress_tokens": [3], "add_bos_token": True, "use_auth_token": True, "max_gen_toks": 9,
    "think_end_token": "</think>", "max_new_tokens": 9, "max_num_batched_tokens": 9, "tokens_in": 7, "tokens": 7,
    "keyword": "x", "author": "A. Writer", "kv_cache_dtype": "fp8", "sort_key": "id", "api_key_env": "OPENAI_API_KEY",
    "prefix_token_id": 3, "model": "org/model", "base_url": "http://host:8000/v1", "revision": "refs/pr/1",
    "chat_template_kwargs": {"enable_thinking": False}, "note": "a = b, c: d", "when": "2026-01-31T10:00:00",
    "digest": "sha256:0a1b", "path": "/data/sets/x.jsonl", "password": None, "comparability_key": "0a1b",
}  # fmt: skip
PLACES = {
    "an address": f"https://user:{SECRET}@host/v1",
    "a parameter": f"https://host/v1?x=1&api_key={SECRET}",
    "a parameter named key": f"https://host/v1?key={SECRET}",
    "a fragment": f"https://host/#access_token={SECRET}",
    "a proxy without a scheme": f"user:{SECRET}@proxy:3128",
    "a header in a text": f"Authorization: Bearer {SECRET}",
    "a cookie in a text": f"Cookie: a=1; session={SECRET}",
    "a variable": f"export HF_TOKEN={SECRET}",
    "an option": f"--api-key {SECRET}",
    "an option with =": f"serve --api-key={SECRET} --port 80",
    "JSON in a text": json.dumps({"deep": [{"apiKey": SECRET}]}),
    "a dictionary in a text": str({"api_key": SECRET}),
    "options in a list": ["--api-key", SECRET],
    "a pair in a list": [["X-Api-Key", SECRET]],
    "a name and its value": [{"name": "Authorization", "value": SECRET}],
    "a shape": "hf_" + SECRET.replace("-", "") + "0" * 12,
}


def spec(arguments, **more):
    return RunSpec(model="m", engine="openai", tasks=("pku",), engine_args=arguments, **more)


def shown(arguments, **more):
    return record.without_secrets(spec(arguments, **more)).model_dump_json()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"a": SECRET}, [[{"b": [SECRET]}]]], ids=repr)
def test_the_value_of_a_secret_name_goes(name, value):
    assert SECRET not in shown({name: value})
    assert SECRET not in shown({"extra_body": [{"x": {name: value}}]})


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_within_a_value_goes(place):
    value = PLACES[place]
    assert SECRET.replace("-", "") not in shown({"extra": {"x": [value]}}).replace("-", "")
    assert SECRET not in shown({"value": value})


def test_numbers_are_secret_only_under_names_that_are():
    assert secrets.removed({"password": 12345678, "max_tokens": 12}) == {"password": "(removed)", "max_tokens": 12}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_stays(name):
    content = {name: HARMLESS[name], "extra_body": {name: [HARMLESS[name]]}}
    assert secrets.removed(content) == content


keys = st.one_of(st.sampled_from(NAMES), st.text(st.characters(categories=["L", "N"]), max_size=8))
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20))
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)


@given(tree=trees, name=st.sampled_from(NAMES), path=st.lists(st.one_of(st.integers(0, 2), keys), max_size=5))
def test_a_planted_secret_never_reaches_the_record(tree, name, path):
    planted = {name: SECRET}
    for step in path:
        planted = [tree] * step + [planted] if isinstance(step, int) else {"beside": tree, step: planted}
    text = shown({"root": planted}, base_url=f"https://u:{SECRET}@host/v1?token={SECRET}")
    assert SECRET not in text
    json.loads(text)


@given(trees)
def test_removing_twice_changes_nothing_more(tree):
    once = secrets.removed(tree)
    assert secrets.removed(once) == once


MESSAGES = (
    "--engine-args 'x' is not of the form key=value",
    "set OPENAI_API_KEY, or --engine-args auth_token=...",
    "packs/mine.yaml: the key 'task' is missing",
    "secret.yaml, line 3: 'task' must be a name",
    "the task name 'pku' is taken by /a/b/pku.yaml; choose another",
    "about 1,200 tokens in, up to 300 out",
    "error: 'x': options are of the form --key value",
    "error: /etc/passwd: not a directory",
    "error: --output '/etc/passwd': '/etc/passwd' is not a folder",
    "error: cannot read '/home/me/my-api-key': it is a folder",
)


GIVEN = (
    "--api-key {}", "--api-key={}", "api_key={}", "password: {}", "error: password: {}", "error: m: Authorization: {}",
    "/etc/passwd: password: {}", "--key {}", "--key=value --token {}", "key: value; api-key: {}",
)  # fmt: skip
SHAPES = ("sk-0123456789abcdef", "hf_0123456789abcdefghij")


@pytest.mark.parametrize("words", GIVEN)
def test_a_secret_in_a_message_goes_wherever_it_is_given(words):
    shown_text = secrets.text(words.format(SECRET))
    assert SECRET not in shown_text
    assert shown_text.endswith("(removed)")


@pytest.mark.parametrize("key", SHAPES)
def test_a_key_of_a_known_shape_goes_without_a_name(key):
    assert secrets.text(f"error: the server says: {key} is wrong") == "error: the server says: (removed) is wrong"


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_stay_as_they_are(message):
    assert secrets.text(message) == message
