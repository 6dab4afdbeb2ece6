"""Two models in folders of one last name are told apart where they are set side by side."""

import shutil

from helpers import command


def test_models_of_one_name(tiny_model, other_tiny_model, tmp_path):
    for place, model in (("a", tiny_model), ("b", other_tiny_model)):
        shutil.copytree(model, tmp_path / place / "final")
    done = command(
        "probe", "--model", tmp_path / "a" / "final", "--against", tmp_path / "b" / "final", "--languages", "en,sw",
        "--limit", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    names = [first.split(" on ")[0], first.rsplit("against ", 1)[1]]
    assert all(name.startswith("final [") for name in names)
    assert len(set(names)) == 2
