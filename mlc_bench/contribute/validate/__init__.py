"""`mlc-bench tasks validate`: every fault of task folders, language files and suites, each with its file and line.

Nothing is downloaded and no code of a task is executed; neither torch nor lm-eval is imported.
"""

from pathlib import Path

from mlc_bench.catalog import data, languages, listing, suites
from mlc_bench.contribute.validate import family, language, pack, suite
from mlc_bench.contribute.validate.source import Fault, Faults, quote_free
from mlc_bench.core.errors import UsageError, unknown

__all__ = ["Fault", "check"]


def check(target: str | None = None) -> list[Fault]:
    """The faults of a task folder, a language, a suite (each by path or by name), or of everything embedded.

    A language's faults include those of its rows in every embedded task. Raises UsageError where `target` names none.
    """
    faults = Faults()
    if target is None:
        for path in sorted(languages.FOLDER.glob("*.y*ml")):
            language.check(path, faults)
        for folder in embedded_packs():
            pack.check(folder, faults)
        for path in sorted(listing.FAMILIES.glob("*.y*ml")):
            family.check(path, faults)
        for path in sorted(suites.FOLDER.glob("*.y*ml")):
            suite.check(path, faults)
    else:
        _check_one(target, faults)
    return sorted(faults.found)


def embedded_packs() -> list[Path]:
    """The folders of tasks that mlc-bench comes with."""
    return sorted(path for path in data.TASKS.iterdir() if path.is_dir() and path.name[0] not in "._")


def _check_one(target: str, faults: Faults) -> None:
    path = Path(target)
    packs = {folder.name: folder for folder in embedded_packs()}
    families = {file.stem: file for file in listing.FAMILIES.glob("*.yaml")}
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name too long, or with a NUL
        exists = False
    if target in languages.known():
        _check_language(languages.FOLDER / f"{target}.yaml", faults)
    elif target in packs:
        pack.check(packs[target], faults)
    elif target in suites.known():
        suite.check(suites.FOLDER / f"{target}.yaml", faults)
    elif target in families:
        family.check(families[target], faults)
    elif not exists:
        names = {*packs, *languages.known(), *suites.known(), *families}
        raise unknown("task folder, language or suite", quote_free(target), names)
    elif path.is_dir():
        _check_folder(path.resolve(), faults)
    elif path.suffix in (".yaml", ".yml"):
        _check_yaml(path.resolve(), faults)
    else:
        raise UsageError(f"{quote_free(target)} is neither a task folder nor a YAML file; name the folder it is in")


def _check_folder(path: Path, faults: Faults) -> None:
    files = sorted(path.glob("*.y*ml"))
    if path in (languages.FOLDER, suites.FOLDER, listing.FAMILIES):
        for file in files:
            _check_yaml(file, faults)
        return
    is_pack = bool(files) or (path / "card.md").exists()
    packs = [path] if is_pack else _packs(path, faults)
    if not packs and faults.found:
        return
    if not packs:
        raise UsageError(f"{quote_free(str(path))} holds no tasks: a task folder has YAML files and a card.md")
    for folder in packs:
        pack.check(folder, faults)


def _packs(path: Path, faults: Faults) -> list[Path]:
    """The folders with task files in a folder. One that is a link to somewhere else is a fault, and is not read."""
    found = []
    for one in sorted(path.iterdir()):
        if not one.is_dir():
            continue
        if not one.resolve().is_relative_to(path):
            faults.add(one, 1, "is a link that leads out of the folder", "put the folder itself there, or name it")
        elif any(one.glob("*.y*ml")):
            found.append(one)
    return found


def _check_yaml(path: Path, faults: Faults) -> None:
    """A YAML file by where it is, else by what it holds: `task:` is a task, `tasks:` a suite, the rest a language."""
    keys = _top_keys(path)
    if path.parent == listing.FAMILIES or "lm_eval" in keys:
        family.check(path, faults)
    elif path.parent == languages.FOLDER:
        _check_language(path, faults)
    elif "task" in keys or (path.parent / "card.md").exists():
        pack.check(path.parent, faults)
    elif path.parent == suites.FOLDER or "tasks" in keys:
        suite.check(path, faults)
    else:
        language.check(path, faults)


def _top_keys(path: Path) -> set[str]:
    try:
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return set()
    return {line.partition(":")[0] for line in lines if ":" in line and line[:1].isalpha()}


def _check_language(path: Path, faults: Faults) -> None:
    language.check(path, faults)
    for folder in embedded_packs():
        pack.check(folder, faults, only=path.stem)
