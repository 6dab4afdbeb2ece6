"""Figures that papers report, from `published/*.yaml`: shown apart, never ranked with ours."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlc_bench.core import safe_yaml
from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard.collect import Model
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Row, Table

FOLDER = Path(__file__).with_name("published")
NOT_REPORTED = Cell(blank="not reported")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PublishedRow(_Strict):
    """One row as reported; rates in %, in the order of the table's languages, or none."""

    model: str
    method: str
    rates: list[float]
    average: float | None = None
    var: float | None = None
    pag: float | None = None


class PublishedTable(_Strict):
    """One table of a paper."""

    id: str
    title: str
    metric: str
    higher_is_better: bool
    n: int = Field(gt=0, description="prompts in each language")
    languages: list[str]
    unseen: list[str] = Field(default_factory=list, description="languages that are not in the training data")
    rows: list[PublishedRow]


class Source(_Strict):
    """One file: what it was taken from, and its tables."""

    source: str
    url: str
    notes: list[str]
    tables: list[PublishedTable]


def sources(folder: Path = FOLDER) -> dict[str, Source]:
    """The files by name. Raises UsageError for one that is not of this form."""
    import yaml

    found = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            content: Any = safe_yaml.load(path.read_text(encoding="utf-8"))
            found[path.stem] = Source.model_validate(content)
        except (yaml.YAMLError, ValidationError) as error:
            raise UsageError(f"{path}: {' '.join(str(error).split())[:300]}") from None
        for table in found[path.stem].tables:
            for row in table.rows:
                if len(row.rates) not in (0, len(table.languages)):
                    raise UsageError(
                        f"{path}: {table.id}, {row.method}: {len(row.rates)} rates, {len(table.languages)} languages"
                    )
    return found


def load(folder: Path = FOLDER) -> tuple[Table, ...]:
    """Every published table, without intervals or ranks, which cannot be had from figures in print."""
    return tuple(_table(name, source, table) for name, source in sources(folder).items() for table in source.tables)


def _table(name: str, source: Source, table: PublishedTable) -> Table:
    higher = table.higher_is_better
    columns = [Column(f"language.{code}", code, "percent", higher, language=code) for code in table.languages]
    columns += [
        Column("average", "average", "percent", higher, digits=2),
        Column("var", "Var", "number", None, digits=2),
        Column("pag", "PAG", "number", None, digits=3, note="the paper's own; its formula is not published"),
    ]
    rows = []
    for place, row in enumerate(table.rows):
        values: list[float | None] = [rate / 100 for rate in row.rates] or [None] * len(table.languages)
        values += [None if row.average is None else row.average / 100, row.var, row.pag]
        cells = {
            column.id: NOT_REPORTED if value is None else Cell(value, n=table.n)
            for column, value in zip(columns, values, strict=True)
        }
        model = Model(id=f"{name}.{table.id}.{place}", name=row.model, adapter=None, method=row.method, base_name=None)
        rows.append(Row(model, "", cells))
    unseen = [f"Not in the training data: {' '.join(table.unseen)}."] if table.unseen else []
    return Table(
        id=f"published-{name}-{table.id}",
        title=f"{table.title}: {table.metric}",
        judge="",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=(f"Reported, not run here. Source: {source.source}, {source.url}", *source.notes, *unseen),
    )
