"""The tables: pure functions of what `collect` found."""

from collections import Counter
from dataclasses import replace

from mlc_bench.core.spec import slug
from mlc_bench.leaderboard.collect import Collection, Model, Setting
from mlc_bench.leaderboard.tabulate import selectivity_table
from mlc_bench.leaderboard.tabulate.cells import NOT_RUN, Cell, Column, Leaderboard, Table
from mlc_bench.leaderboard.tabulate.comparable import Panel
from mlc_bench.leaderboard.tabulate.task_table import TaskTable


def build(collection: Collection, published: tuple[Table, ...] = ()) -> Leaderboard:
    """Every table of the collection, in an order that depends on its contents only."""
    order = sorted(collection.settings.values(), key=_setting_order)
    by_setting = dict(list(collection.frame.groupby("setting", sort=False))) if len(collection.frame) else {}
    panels = {one.id: Panel(collection, one, by_setting[one.id]) for one in order if one.id in by_setting}
    utilities = [panel for panel in panels.values() if panel.setting.measures == "utility"]
    made = [TaskTable(collection, panel, panels, utilities) for panel in panels.values()]
    tasks = [one.table() for one in made]
    judged = [panel.setting for panel in panels.values() if panel.setting.judge]
    judges = list(dict.fromkeys((setting.judge, setting.judge_version) for setting in sorted(judged, key=_judge_order)))
    several = Counter(name for name, _ in judges)
    main = [
        _main(name, version, several[name] > 1, tasks, collection)
        for name, version in judges or ([("", "")] if tasks else [])
    ]
    headline = [table for one in made if (table := selectivity_table.table(one)) is not None]
    return Leaderboard(
        tuple(main),
        tuple(tasks),
        published,
        collection.left_out,
        _pairs_first(headline),
        collection.runs,
        collection.judges,
    )


def _pairs_first(tables: list[Table]) -> tuple[Table, ...]:
    """Judge by judge as they are, and of each the tasks first whose harmless prompts are partners of the harmful."""
    judges = list(dict.fromkeys((one.judge, one.judge_version) for table in tables if (one := table.setting)))

    def place(table: Table) -> tuple[int, bool]:
        setting = table.setting
        assert setting is not None
        return judges.index((setting.judge, setting.judge_version)), not setting.over_refusal_pairs

    return tuple(sorted(tables, key=place))


def _setting_order(setting: Setting) -> tuple[str | int, ...]:
    """Safety and over-refusal judge by judge, then utility, which has no judge; newer versions of each first."""
    place = ("safety", "over_refusal", "utility").index(setting.measures)
    return setting.judge == "", *_judge_order(setting), place, setting.task, -setting.version, setting.id


def _judge_order(setting: Setting) -> tuple[str | int, ...]:
    """By name, and the newest version first: what was measured with it is what a reader looks for."""
    version = setting.judge_version
    return setting.judge, -int(version) if version.isdecimal() else 0, version


def _main(judge: str, version: str, show_version: bool, tasks: list[Table], collection: Collection) -> Table:
    """Safety, over-refusal and utility of each model side by side, by name: there is no order of merit over all.

    Numbers of two judges, or of two versions of one, are never side by side.
    """
    tables = [(table, table.setting) for table in tasks if table.setting]
    mine = [table for table, one in tables if (one.judge, one.judge_version) in ((judge, version), ("", ""))]
    companions = {table.setting.over_refusal_task for table in mine if table.setting}
    sources: list[tuple[Column, Table, str]] = []
    for table in mine:
        setting = table.setting
        assert setting is not None
        name = setting.task + (f" {setting.id[:4]}" if _is_one_of_several(table, mine) else "")
        wanted = {
            "safety": (
                ("average", "refusal" if setting.headline == "refusal_rate" else "safe"),
                ("worst", "worst"),
                ("over_refusal", "over-refusal"),
                ("selectivity", "selectivity"),
            ),
            "over_refusal": () if setting.task in companions else (("average", "over-refusal"), ("worst", "worst")),
            "utility": (("average", table.measure), ("worst", "worst")),
        }[setting.measures]
        for column in table.columns:
            for source, heading in wanted:
                if column.id == source:
                    made = replace(
                        column,
                        id=f"{table.id}.{source}",
                        heading=f"{name} {heading}",
                        note=f"{table.title}: {column.note}",
                        source=column.source or table.id,
                    )
                    sources.append((made, table, source))
    judged = {row.model.id for table in mine if table.judge == judge for row in table.rows}
    by_model = {table.id: {row.model.id: row for row in table.rows if row.model.id in judged} for table in mine}
    sources = [
        (column, table, source)
        for column, table, source in sources
        if any(row.cells[source].value is not None for row in by_model[table.id].values())
    ]
    models = sorted(
        {model for rows in by_model.values() for model in rows},
        key=lambda model: _family(collection.models[model], collection.models),
    )
    rows = []
    for model in models:
        cells = {
            column.id: by_model[table.id][model].cells[source] if model in by_model[table.id] else Cell(blank=NOT_RUN)
            for column, table, source in sources
        }
        some = next(rows[model] for rows in by_model.values() if model in rows)
        notes = {note: None for rows in by_model.values() if model in rows for note in rows[model].notes}
        rows.append(replace(some, cells=cells, notes=tuple(notes)))
    shown = f" {version}" if show_version else ""
    return Table(
        id="-".join(filter(None, ("main", slug(judge), slug(version) if show_version else ""))),
        title="Safety, over-refusal and utility" + (f", judge {judge}{shown}" if judge else ""),
        judge=judge,
        columns=tuple(column for column, _, _ in sources),
        rows=tuple(rows),
        notes=("Rows are in the order of base model and name: no single number ranks a model over all columns.",),
    )


def _family(model: Model, models: dict[str, Model]) -> tuple[str, bool, str, str]:
    """Base models, each with what was trained from it below it."""
    base = models[model.base] if model.base else None
    return (base.label if base else model.label), base is not None, model.label, model.id


def _is_one_of_several(table: Table, tables: list[Table]) -> bool:
    return (
        sum(
            other.setting is not None and table.setting is not None and other.setting.task == table.setting.task
            for other in tables
        )
        > 1
    )
