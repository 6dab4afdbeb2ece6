"""A guide of docs/guides, followed word by word: its files are written and its commands run, in order.

Code blocks of kind `sh` are commands, one a line. A block below "Write `NAME`:" is the content of that file. Blocks of
kind `text` are shown and not run.
"""

import re

from checkout import ROOT

GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WRITE = re.compile(r"Write `([^`]+)`:\s*$")


def blocks(page):
    """(kind, content, file to write it to or None) of each code block of a page, in order."""
    text = (GUIDES / page).read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        target = WRITE.search(text[: match.start()].rstrip())
        yield match[1], match[2], target[1] if target else None


def commands(page, kind="sh"):
    """The lines of a page's blocks of a kind."""
    return [line for found, content, _ in blocks(page) if found == kind for line in content.splitlines()]


def follow(checkout, page, swap=None, before=None, codes=None):
    """Write the files and run the commands of a page in a copy of the repository; the finished command of each line.

    `swap` replaces texts in files and commands: names of models, limits, addresses. `before[text]()` is called before
    the first command that has the text: what the page tells people to do by hand. `codes[text]`: the exit code of
    commands that have the text, where it is not 0.
    """
    done, before = {}, dict(before or {})
    for kind, content, target in blocks(page):
        if target:
            checkout.write(target, _swapped(content, swap))
        elif kind == "sh":
            for line in content.splitlines():
                for text in [text for text in before if text in line]:
                    before.pop(text)()
                finished = checkout.run(_swapped(line, swap))
                expected = next((code for text, code in (codes or {}).items() if text in line), 0)
                assert finished.returncode == expected, f"{line}\n{finished.stdout}\n{finished.stderr}"
                done[line] = finished
    assert not before, f"{page} has no command with {', '.join(before)}"
    return done


def _swapped(text, swap):
    for old, new in (swap or {}).items():
        text = text.replace(old, str(new))
    return text


def the(done, *words):
    """What the one command with all these words printed."""
    (found,) = [finished.stdout for line, finished in done.items() if all(word in line for word in words)]
    return found
