"""docs/guides/python.md, followed word by word with tiny models."""

import re
import shutil

from checkout import ROOT

from mlc_bench.engines import demo_models

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_python_page(tiny_model, other_tiny_model, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "guides" / "python.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    monkeypatch.setattr(demo_models, "folder", lambda *_: tiny_model)
    shutil.copytree(other_tiny_model, tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCK.findall(text):
        exec(block, names)
    printed = capsys.readouterr().out
    assert str(names["found"]) in printed
    assert names["difference"].tasks[0].reading in printed
    assert "system_prompt" in printed, "the field that differs"
    assert {"results", "results-short"} == {name.split("/")[0] for name in names["frame"]["record"]}
    assert set(names["refusals"]["language"]) == {"en", "sw"}
    assert names["found"].folder.is_dir()
    assert len(names["results"]) == 1
