"""CSV and TSV: every cell as the text that stands there, through pandas."""

import csv
import io
import re
from pathlib import Path

from mlc_bench.catalog import limits
from mlc_bench.core.errors import UsageError

_QUOTED = re.compile(r'"(?:[^"]|"")*+"(?=[\t\n]|\Z)')
_PLAIN = re.compile(r"[^\t\n]*+")


def cells(path: Path, text: str, delimiter: str, heading: bool) -> list[list[str]]:
    """The cells of each row. NA, null, 007 and 1e5 stay the texts that they are; cells that a row lacks are empty.

    In CSV, quotation marks around a cell are not part of it. In TSV they are, unless the file quotes its cells as CSV
    does: a sentence may begin with one. Raises UsageError naming the row of a quotation mark that is never closed.
    """
    text = text.lstrip("\r\n") if heading else text  # without a heading, an empty line is a row
    text = text.rstrip("\r\n") if delimiter == "," else text.replace("\r\n", "\n").rstrip("\r\n")
    if not text:
        return []
    blank = len(re.match(r"(?:\r\n|\r|\n)*", text)[0].replace("\r\n", "\n"))  # type: ignore[index]
    text = text.lstrip("\r\n")  # pandas takes the first line for the width
    is_quoted = delimiter == "," or _quotes_cells(text)
    first = text[: text.find("\n")] if heading and is_quoted else ""
    is_spaced = first.count(f"{delimiter} ") == first.count(delimiter) > 0  # "en, sw": the space is no text
    quoting = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
    return [[""]] * blank + _parsed(path, text, delimiter, quoting, is_spaced)


def _parsed(path: Path, text: str, delimiter: str, quoting: int, is_spaced: bool) -> list[list[str]]:
    import pandas

    width = None
    while True:
        try:
            found = pandas.read_csv(
                io.StringIO(text, newline=""),
                sep=delimiter,
                header=None,
                names=None if width is None else range(width),
                dtype=object,
                na_filter=False,  # "NA", "null" and "nan" are texts
                skip_blank_lines=False,
                skipinitialspace=is_spaced,
                quoting=quoting,
                engine="c",
                low_memory=False,
            )
        except pandas.errors.ParserError as error:
            # A row with more cells than those before it: read again as wide; its place is found by the cells.
            wider = re.search(r"saw (\d+)", str(error))
            if wider is None:
                raise UsageError(f"{path}: {_problem(str(error))}") from None
            width = max(int(wider[1]), 2 * (width or 1))
            limits.check_cells(path, width * (1 + text.count("\n")))
            continue
        return [["" if cell is None else str(cell) for cell in row] for row in found.to_numpy().tolist()]


def _problem(message: str) -> str:
    opened = re.search(r"EOF inside string starting at row (\d+)", message)
    if opened:
        return (
            f"row {opened[1]}: a quotation mark is never closed; put the text in quotation marks, those in it doubled"
        )
    return f"not a table ({' '.join(message.split())[:80]})"


def _quotes_cells(text: str) -> bool:
    """Whether a TSV puts cells in quotation marks, and means them as such.

    Every cell that begins with one must end with one. Then either lines have different numbers of cells unless
    quotation marks count, or marks within cells are doubled, or all cells are quoted.
    """
    position, quoted, plain, is_doubled, spans = 0, 0, 0, False, False
    while position < len(text):
        if text[position] == '"':
            cell = _QUOTED.match(text, position)
            if cell is None:
                return False
            quoted += 1
            is_doubled |= '""' in cell[0][1:-1]
            spans |= "\t" in cell[0] or "\n" in cell[0]
        else:
            cell = _PLAIN.match(text, position)
            assert cell is not None
            plain += bool(re.search(r"[^\W\d]", cell[0]))  # numbers stay without, as some programs write them
        position = cell.end() + 1
    if not quoted:
        return False
    if len({line.count("\t") for line in text.split("\n") if line.strip()}) > 1:
        return spans
    return not spans and (is_doubled or plain == 0)
