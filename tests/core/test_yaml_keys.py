"""YAML with a key twice, of which YAML's own readers take the last: refused wherever a user's file is read."""

import pytest
from helpers import check_failed, command

from mlc_bench.baselines import cli as training
from mlc_bench.core import safe_yaml

TWICE = "limit: 5\nmodels: [a]\nlimit: 6\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(TWICE)
    return path


@pytest.mark.parametrize(
    "words",
    [["sweep", "FILE", "--print-commands"], ["judge", "ANSWERS", "--judge", "FILE"], ["judges", "show", "FILE"]],
)
def test_a_key_twice_is_named_with_its_line(words, file, tmp_path):
    (tmp_path / "answers.jsonl").write_text('{"id": 1, "language": "en", "prompt": "p", "response": "r"}\n')
    named = {"FILE": file, "ANSWERS": tmp_path / "answers.jsonl"}
    done = command(*(named.get(word, word) for word in words))
    check_failed(done, 2, f"{file}, line 3", "the key 'limit' is there twice, first in line 1; keep one")


def test_of_training(file, tmp_path):
    done = command("sft", "--config", file, "--output", tmp_path / "out", main=training.main)
    check_failed(done, 2, f"--config {file}, line 3", "the key 'limit' is there twice")


@pytest.mark.parametrize(
    "text",
    ["a: {b: 1, b: 2}", "- {c: 1}\n- {c: 1, c: 1}", "x: &x {k: 1}\ny: {<<: *x, z: [k, k], z: 2}", "{a: 1, 'a': 2}"],
)
def test_however_deep_it_is(text):
    with pytest.raises(safe_yaml.yaml.YAMLError, match="is there twice"):
        safe_yaml.load(text)


@pytest.mark.parametrize("text", ["a: {b: 1}\nc: {b: 1}", "[{a: a}, {a: a}]", "a: b\nb: a", "? [a, a]\n: a\na: 1\n"])
def test_a_word_twice_that_is_no_key_twice(text):
    safe_yaml.check(text)
