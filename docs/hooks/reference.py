"""The reference pages, made from the code: a line `<!-- made from the code: NAME -->` becomes what NAME writes."""

import re
from collections.abc import Callable
from typing import Any

import catalog
import commands
import settings
import versions
from mkdocs.exceptions import PluginError

MARK = re.compile(r"^<!-- made from the code: ([\w-]+) -->$", re.MULTILINE)

PARTS: dict[str, Callable[[], str]] = {
    "commands": commands.documents,
    "exit-codes": commands.exit_codes,
    "tasks": catalog.tasks,
    "family-tasks": catalog.family_tasks,
    "suites": catalog.suites,
    "languages": catalog.languages,
    "judges": catalog.judges,
    "agreement": catalog.agreement,
    "judge-file": settings.judge_file,
    "language-file": settings.language_file,
    "suite-file": settings.suite_file,
    "methods": settings.methods,
    "training-settings": settings.training,
    "record": settings.record,
    "task-versions": versions.tasks,
    "judge-versions": versions.judges,
    "schema-versions": versions.schemas,
}


def on_page_markdown(markdown: str, page: Any, **others: Any) -> str:
    """Fill in a page. Raises PluginError for a name that is not in PARTS."""

    def made(match: re.Match[str]) -> str:
        if match[1] not in PARTS:
            raise PluginError(f"{page.file.src_uri}: nothing makes '{match[1]}'; known: {', '.join(PARTS)}")
        return PARTS[match[1]]()

    return MARK.sub(made, markdown)
