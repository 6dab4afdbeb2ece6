"""Two judges never have one id."""

import json
import shutil

import pytest

from mlc_bench.core.errors import UsageError
from mlc_bench.judges import spec


def other_weights(model, folder):
    """A copy of a model with one weight changed."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    name = min(weights)
    weights[name] = weights[name] + 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def other_template(model, folder):
    shutil.copytree(model, folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    return folder


def empty(model, folder):
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["final", "guard", "checkpoint-100"])
@pytest.mark.parametrize("make", [other_weights, other_template, empty])
@pytest.mark.parametrize("judge", ["llm@{}", "majority(rules,llm@{})"])
def test_folders_of_one_last_name(tiny_model, tmp_path, monkeypatch, name, make, judge):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "v1" / name)
    make(tiny_model, tmp_path / "v2" / name)
    first, second, same = (spec.get(judge.format(place)) for place in (f"v1/{name}", f"v2/{name}", f"./v1/{name}/"))
    assert len({first.id, second.id}) == len({first.slug, second.slug}) == 2
    assert first.id == same.id
    (tmp_path / "moved").mkdir()
    (tmp_path / "v1" / name).rename(tmp_path / "moved" / name)
    assert spec.get(judge.format(f"moved/{name}")).id == first.id  # where a folder is does not matter
    assert str(tmp_path) not in first.id


@pytest.mark.parametrize(
    "name", ["rules", "llm@org/model", "qwen3guard-0.6b", "wildguard@a/b", "majority(rules,llm@a/b)"]
)
def test_ids_of_judges_without_a_folder_stay(name):
    assert spec.get(name).id == name


def test_a_servers_name_for_its_model_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "final").mkdir()
    assert spec.get("llm@final", {"base_url": "http://h/v1"}).id == "llm@final"
    assert spec.get("llm@final", {"engine": "openai"}).id == "llm@final"
    assert spec.get("llm@final").id != "llm@final"


def test_an_ensembles_judges_have_ids_of_their_own(tmp_path):
    for place in "ab":
        path = tmp_path / place / "mine.yaml"
        path.parent.mkdir()
        path.write_text(f"extends: llm\nname: mine\nmodel: org/{place}\n")
    both = [str(tmp_path / place / "mine.yaml") for place in "ab"]
    (tmp_path / "both.yaml").write_text(f"name: both\nkind: ensemble\nsummary: x\njudges: {json.dumps(both)}\n")
    for name in (f"majority({','.join(both)})", str(tmp_path / "both.yaml"), "majority(rules,rules)"):
        with pytest.raises(UsageError, match="two of its judges are"):
            spec.get(name)
