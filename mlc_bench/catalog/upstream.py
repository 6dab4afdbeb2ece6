"""lm-eval's own tasks: the families of `mlc_bench/catalog/families`, loaded for the languages that are asked for.

Only the folder of a family is indexed: the index of all of lm-eval takes 8 to 21 s, that of one folder about one.
"""

from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager

from mlc_bench.catalog import languages as known_languages
from mlc_bench.catalog import listing
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec

FOLDER = Path(lm_eval.__file__).resolve().parent / "tasks"


def load(entry: TaskEntry, spec: RunSpec) -> dict[str, list[ConfigurableTask]]:
    """The tasks of a family in every language asked for; those of a group are taken apart.

    Says which languages lm-eval has no task for. Raises UsageError where it has none at all, PrerequisiteError where
    the data cannot be had.
    """
    family = entry.family or {}
    covered = listing.languages(entry) or []
    wanted = [code for code in spec.languages or covered if code in covered]
    if absent := [code for code in spec.languages or () if code not in covered]:
        say(f"{entry.name}: lm-eval has no task for {', '.join(absent)}; left out there")
    if not wanted:
        raise UsageError(f"{entry.name} has none of the languages asked for; it has {', '.join(covered)}")
    manager = TaskManager(include_path=str(FOLDER / family["folder"]), include_defaults=False)
    return {code: _tasks(manager, name(entry, code)) for code in wanted}


def name(entry: TaskEntry, code: str) -> str:
    """The name of lm-eval's task, or group of tasks, for a language."""
    family = entry.family or {}
    return family["task"].replace("*", known_languages.get(code).codes[family["codes"]])


def _tasks(manager: TaskManager, wanted: str) -> list[ConfigurableTask]:
    if wanted not in manager.task_index:
        raise UsageError(f"this lm-eval has no task '{wanted}'; the language file or the family's file is out of date")
    try:
        loaded: dict[str, Any] = manager.load([wanted])["tasks"]
    except ImportError as error:
        raise PrerequisiteError(f"lm-eval's task '{wanted}' needs a package that is missing: {error}") from error
    except Exception as error:  # offline, gated, moved: the library's own first line says which
        line = (str(error).strip().splitlines() or [""])[0][:200]
        raise PrerequisiteError(
            f"cannot get the data of lm-eval's task '{wanted}' ({type(error).__name__}: {line}); it comes from the "
            "hub: run once with internet access, or copy the hub's cache to this machine"
        ) from error
    return list(loaded.values())


def row_id(entry: TaskEntry, task: ConfigurableTask, doc: dict[str, Any], index: int, code: str) -> str:
    """What stands for one question in every language: the family's id fields, else subtask and number."""
    fields = (entry.family or {}).get("id", "").split()
    number = "-".join(str(doc[field]) for field in fields) or str(index)
    subtask = task.task_name.replace(name(entry, code), "", 1).strip("_")
    return f"{subtask}-{number}" if subtask else number


def share(total: int | None, sizes: list[int]) -> list[int]:
    """How many of the first documents of each subtask make up `total`, one from each in turn; all for None."""
    if total is None:
        return sizes
    taken = [0] * len(sizes)
    while sum(taken) < min(total, sum(sizes)):
        for index, size in enumerate(sizes):
            if taken[index] < size and sum(taken) < total:
                taken[index] += 1
    return taken
