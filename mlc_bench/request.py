"""What a run is asked for, in the words of the command line, and what comes of it."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlc_bench.core.errors import UsageError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from mlc_bench.core.spec import RunSpec
    from mlc_bench.engines.servers.budget import Budget
    from mlc_bench.records.record import RunRecord
    from mlc_bench.runner import Planned, Run

_SEEDS = 2**32  # what the random numbers of torch and numpy can both begin with
Names = str | Sequence[str]  # one, or several
Folder = str | Path


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run with one judge: its record and the file that holds it. Printed, it is the command's table."""

    record: "RunRecord"
    path: Path
    """The record's file: `run.json`, or `run.<judge>.json` of a further judge."""

    @property
    def folder(self) -> Path:
        """The run's folder, with its samples and verdicts; `judge` takes it."""
        return self.path.parent

    def table(self, details: bool = False) -> str:
        """The table that the command prints, as wide as the terminal (120 columns where there is none).

        Below it refusal selectivity by language, where harmful and harmless requests were run. `details` adds every
        metric: treatments of invalid answers, loopholes, kappa and so on.
        """
        from mlc_bench.records import run_table, selectivity

        width = shutil.get_terminal_size((120, 24)).columns
        return "\n".join(filter(None, [run_table.text(self.record, width, details), selectivity.text(self.record)]))

    def frame(self) -> "pd.DataFrame":
        """The rows of `load_records` for this record alone."""
        from mlc_bench.records import frame

        return frame.of_records([(str(self.path), self.record)])

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        return self.record._repr_html_()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `run` is asked for, before it is run: to see the plan first, or to run several adapters on one engine.

    Fields are the keywords of `run`, where each is described; `adapter` may name several, each with a run of its own.
    Nothing is checked before `plan` or `run` is called.

        request = Request(model="./base", adapter=["./dpo", "./dpo-mlc"], tasks="starter")
        request.plan()
        dpo, dpo_mlc = request.run()
    """

    model: Folder
    adapter: Folder | Sequence[Folder] | None = None
    revision: str | None = None
    tasks: Names = "starter"
    languages: Names | None = None
    engine: str | None = None
    base_url: str | None = None
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    include: Folder | Sequence[Folder] = ()
    allow_code: bool = False
    judge: Names = "refusal"
    combine: str | None = None
    judge_args: Mapping[str, Any] = field(default_factory=dict)
    allow_self_judge: bool = False
    limit: int | None = None
    system_prompt: str | None = None
    max_tokens: int | None = None
    seed: int = 1234
    template_date: str | None = None
    sampling: str = "neutral"
    thinking: str = "model"
    thinking_tokens: int | None = None
    output: Folder = "results"
    data_dir: Folder | None = None
    fresh: bool = False
    price: str | None = None
    max_cost: float | None = None

    def run(self) -> "list[Result]":
        """Carry it out: a result for each adapter (one without adapters) and judge, those of one adapter together.

        Errors as those of `mlc_bench.run`.
        """
        from mlc_bench import runner
        from mlc_bench.core.progress import say
        from mlc_bench.judges import judging

        with self._prepared() as (runs, bill):
            records = runner.execute(runs, self.fresh, bill)
            if bill and bill.answers:
                say(f"{bill.bill()} by this command")
            results = [[Result(found, run.folder / "run.json")] for run, found in zip(runs, records, strict=True)]
            for name in self.judges()[1:]:
                made = judging.rejudge([run.folder for run in runs], name, dict(self.judge_args), self.allow_self_judge)
                for own, (found, path) in zip(results, made, strict=True):
                    own.append(Result(found, path))
            return [result for own in results for result in own]

    def plan(self) -> list[dict[str, Any]]:
        """What would be run, one dictionary for each adapter; no model is loaded. The command's --dry-run.

        Its keys: run_id, model (with its adapter), base (the model without it), engine, folder, generated (whether all
        answers are there), stored_responses (how many of this model are), tokens_in, tokens_out (an estimate; of
        answers, what they have at most), cost (US dollars; None without a price), settings (of the whole run: the
        template's digest and date, and what was chosen apart from the tasks' settings), and tasks, each with task,
        languages, state, its tokens, its decoding, and the error with which it would fail, if there is one. Errors as
        those of `mlc_bench.run`.
        """
        from mlc_bench import runner

        with self._prepared(quick=True) as (runs, bill):
            return [self._planned(run, runner.plan(run), bill) for run in runs]

    @staticmethod
    def _planned(run: "Run", tasks: "list[Planned]", bill: "Budget | None") -> dict[str, Any]:
        tokens = [sum(getattr(task, way) or 0 for task in tasks) for way in ("tokens_in", "tokens_out")]
        return {
            "run_id": run.run_id,
            "model": run.identity.slug,
            "base": run.identity.name,
            "engine": run.spec.engine,
            "folder": str(run.folder),
            "generated": run.is_generated,
            "stored_responses": run.stored_responses,
            "tasks": [asdict(task) for task in tasks],
            "settings": run.settings.shown,
            "tokens_in": tokens[0],
            "tokens_out": tokens[1],
            "cost": round(bill.price.of(*tokens), 6) if bill else None,
        }

    @contextlib.contextmanager
    def _prepared(self, quick: bool = False) -> "Iterator[tuple[list[Run], Budget | None]]":
        """The runs, checked, and the bill; with the packs and the data folder of this request until the block ends."""
        with self.surroundings():
            runs = self.runs(quick)
            yield runs, self._bill(runs[0].spec.engine)

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """The packs and the data folder of this request, until the block ends; `runs` needs them."""
        from mlc_bench.catalog import listing, sources

        packs = [Path(folder) for folder in several(self.include)]
        downloaded = None if self.data_dir is None else Path(self.data_dir)
        with sources.using_data(downloaded), listing.including(packs, self.allow_code):
            yield

    def runs(self, quick: bool = False) -> "list[Run]":
        """One run for each adapter (one without adapters), checked; `quick`: nothing will be run.

        Errors as those of `mlc_bench.run`.
        """
        from mlc_bench import runner

        specs = self._specs()
        self._bill(specs[0].engine)  # which is refused before models are looked for
        settings, further = dict(self.judge_args), self.judges()[1:]
        return runner.prepare(specs, Path(self.output), settings, self.allow_self_judge, quick=quick, further=further)

    def judges(self) -> list[str]:
        """The judges, each of which gets a record; the first one is the run's own."""
        from mlc_bench.judges.spec import canonical

        return canonical(several(self.judge), self.combine, self.judge_args)

    def _bill(self, engine: str) -> "Budget | None":
        from mlc_bench.engines.servers.budget import Budget, parse_price

        if self.price is None and self.max_cost is None:
            return None
        if engine != "openai":
            raise UsageError("--price and --max-cost go with --engine openai: other engines cost no money by the token")
        if self.price is None:
            raise UsageError("--max-cost needs --price IN,OUT, US dollars for a million tokens in and out")
        return Budget(parse_price(self.price), self.max_cost)

    def _specs(self) -> "list[RunSpec]":
        """One spec for each adapter, with the settings of the suites among the tasks."""
        from mlc_bench.catalog import listing, suites
        from mlc_bench.core import spec

        if self.engine is not None and self.engine not in spec.ENGINES:
            raise unknown("engine", self.engine, spec.ENGINES)
        for option, word, known in (
            ("--sampling", self.sampling, ("neutral", "model")),
            ("--thinking", self.thinking, ("model", "on", "off")),
        ):
            if word not in known:
                raise unknown(option, word, known)
        numbers = {"--limit": self.limit, "--max-tokens": self.max_tokens, "--thinking-tokens": self.thinking_tokens}
        for option, number in numbers.items():
            if number is not None and number < 1:
                raise UsageError(f"{option} {number} is too small; give 1 or more")
        if not 0 <= self.seed < _SEEDS:
            raise UsageError(f"--seed {self.seed}: give a number from 0 to {_SEEDS - 1}")
        for option, names in (("--tasks", self.tasks), ("--languages", self.languages), ("--judge", self.judge)):
            if names is not None and not any(str(name).strip() for name in several(names)):
                raise UsageError(f"{option} names nothing; name one or more, or leave {option} out")
        asked, preset = suites.expand(several(self.tasks))
        entries = listing.select(asked)
        codes = listing.check_languages(several(self.languages) or preset.get("languages", []))
        engine_args = spec.check_engine_args(self.engine_args)
        judge = self.judges()[0]
        engine = self.engine
        if engine is None:
            from mlc_bench.engines.lifecycle import default_engine

            engine = default_engine()
        return [
            spec.RunSpec(
                model=str(self.model),
                revision=self.revision,
                adapter=None if adapter is None else str(adapter),
                engine=engine,
                base_url=self.base_url.rstrip("/") if self.base_url else None,
                engine_args=engine_args,
                tasks=tuple(entry.name for entry in entries),
                languages=tuple(codes) or None,
                judge=judge,
                limit=self.limit or preset.get("limit"),
                system_prompt=preset.get("system_prompt") if self.system_prompt is None else self.system_prompt,
                max_tokens=self.max_tokens or preset.get("max_tokens"),
                seed=self.seed,
                template_date=self.template_date,
                sampling=self.sampling,
                thinking=self.thinking,
                thinking_tokens=self.thinking_tokens,
            )
            for adapter in several(self.adapter) or [None]
        ]


def several(given: Any) -> list[Any]:
    """One or several as a list; an empty one for None."""
    if given is None:
        return []
    return [given] if isinstance(given, str | Path) else list(given)
