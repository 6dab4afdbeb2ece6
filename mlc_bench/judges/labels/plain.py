"""Texts of strangers as text alone: nothing in them moves the cursor, colours the screen or turns the line around."""

import re

_ESCAPES = re.compile(
    r"(?:\x1b[]P_^X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # titles, links, data; those that end
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours, movements
    r"|\x1b[ -/]*[0-~]?"
)
# Controls, half characters, and marks that turn the order of what follows; joiners stay, as scripts need them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text with its lines and tabs, without escape sequences, control characters and marks of direction."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("", text.replace("\u2028", "\n").replace("\u2029", "\n"))
