"""What a table is: plain data that `all_tables` makes and the renderers read. Rates are fractions."""

from dataclasses import dataclass
from typing import Literal

from mlc_bench.leaderboard.collect import LeftOut, Model, Setting
from mlc_bench.leaderboard.curves import Curves
from mlc_bench.leaderboard.provenance import Judge, Run

Unit = Literal["percent", "points", "number"]

NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Cell:
    """One number with all that a reader must know of it, or `blank`: why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    unscored: int = 0
    runs: tuple[str, ...] = ()
    blank: str = ""
    best: bool = False
    """The best of its column, or its interval reaches the best value."""
    rank: tuple[int, int] | None = None
    """Best and worst rank; see `ranks.ranks`."""
    p: float | None = None
    """Of a gain: p-value after Holm's correction over the column."""
    languages: tuple[str, ...] = ()
    """Of what is over some languages: which; of the worst: that one."""

    @property
    def mark(self) -> str:
        """Significance of a gain: *** p < 0.001, ** p < 0.01, * p < 0.05."""
        return (
            ""
            if self.p is None
            else "***"
            if self.p < 0.001
            else "**"
            if self.p < 0.01
            else "*"
            if self.p < 0.05
            else ""
        )


@dataclass(frozen=True)
class Column:
    """One column of a table. `key` names the comparability key of a language's column."""

    id: str
    heading: str
    unit: Unit
    higher_is_better: bool | None
    """None: neither is better."""
    language: str = ""
    key: str = ""
    note: str = ""
    digits: int = 1
    """After the decimal point, as shown."""
    marks: str = ""
    """Signs of `run_table.MARKS`: how well the judge is known in its languages."""
    source: str = ""
    """The id of the task's table that its numbers come from, where that is another one."""
    parts: tuple[tuple[str, str], ...] = ()
    """Of a difference: table and column of what is subtracted from each other."""


@dataclass(frozen=True)
class Row:
    """One model; `cells` has an entry for each column's id."""

    model: Model
    base: str
    """The label of the base model's row; empty where it has none."""
    cells: dict[str, Cell]
    notes: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    """Of the headline: languages in which too many of its answers are invalid (`selectivity.MOST_INVALID`)."""


@dataclass(frozen=True)
class Table:
    """Rows and columns, with the setting that all of it shares (None for the main table)."""

    id: str
    title: str
    judge: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    setting: Setting | None = None
    measure: str = ""
    """What its numbers are: refusal rate, safe rate, over-refusal, accuracy, or the name of a score."""


@dataclass(frozen=True)
class Leaderboard:
    """All tables. `main` has one for each judge, with safety, over-refusal and utility side by side."""

    main: tuple[Table, ...]
    tasks: tuple[Table, ...]
    published: tuple[Table, ...]
    """Figures of papers: reported there, not run here, never ranked."""
    left_out: tuple[LeftOut, ...]
    headline: tuple[Table, ...] = ()
    """Refusal selectivity, a table for each pair of a harmful and a harmless task, in one setting."""
    runs: tuple[Run, ...] = ()
    judges: tuple[Judge, ...] = ()
    curves: tuple[Curves, ...] = ()
    """Of training runs with a scored checkpoint and another scored step."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table, what counts first."""
        return (*self.headline, *self.main, *self.tasks, *self.published)

    def _repr_html_(self) -> str:
        from mlc_bench.leaderboard.render import to_markdown  # which reads these

        return to_markdown.as_html(self)
