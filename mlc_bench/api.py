"""The Python interface: what the commands `run`, `judge`, `compare` and `show` do, as functions.

The commands call these functions. Keywords have the names of the command's options. A problem that the user can fix is
a UserError (mlc_bench.core.errors) with the line that the command prints. Progress goes to stderr.

May import the runner, judges, records, catalog and core, each inside the function that needs it; never cli or console.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from mlc_bench.core.errors import UsageError
from mlc_bench.request import Folder, Names, Request, Result, several

if TYPE_CHECKING:
    import pandas as pd

    from mlc_bench.records.comparing.compare import Comparison


def run(
    model: Folder,
    *,
    adapter: Folder | None = None,
    revision: str | None = None,
    tasks: Names = "starter",
    languages: Names | None = None,
    engine: str | None = None,
    base_url: str | None = None,
    engine_args: Mapping[str, Any] | None = None,
    include: Folder | Sequence[Folder] = (),
    allow_code: bool = False,
    judge: Names = "refusal",
    combine: str | None = None,
    judge_args: Mapping[str, Any] | None = None,
    allow_self_judge: bool = False,
    limit: int | None = None,
    system_prompt: str | None = None,
    max_tokens: int | None = None,
    seed: int = 1234,
    template_date: str | None = None,
    sampling: str = "neutral",
    thinking: str = "model",
    thinking_tokens: int | None = None,
    output: Folder = "results",
    data_dir: Folder | None = None,
    fresh: bool = False,
    price: str | None = None,
    max_cost: float | None = None,
) -> Result:
    """Score a model for safety, over-refusal and utility; goes on where an earlier call with the same input stopped.

        found = run("demo", tasks="starter", languages=["en", "sw"], limit=5)
        print(found)
        found.frame()

    Args:
        model: Hub id, local folder, "demo" (a demo model), or the server's name for its model.
        adapter: peft adapter, local folder or hub id. Several on one start of the engine: see Request.
        revision: Hub revision: branch, tag or commit.
        tasks: Names of tasks, packs or suites.
        languages: Codes; None: all that the tasks have, or those of the suite.
        engine: hf, vllm or openai (a server); None: vllm with a GPU, else hf.
        base_url: Server for engine "openai": http://host:port/v1.
        engine_args: Arguments of lm-eval's model class, for example {"batch_size": 8}.
        include: Folders with task packs of your own, for this call only.
        allow_code: Let these packs run their own code.
        judge: NAME, NAME@MODEL or a judge's YAML. Several get a record each: `run.<judge>.json` from the second on.
        combine: One verdict of several judges: majority or strictest.
        judge_args: Settings of the judge (engine, base_url, concurrency, ...) or arguments of its engine.
        allow_self_judge: Let a model judge its own answers.
        limit: First n prompts of each task and language. Such runs stay out of leaderboards.
        system_prompt: Put before every prompt.
        max_tokens: Most tokens of an answer; None: the task's.
        seed: Of sampling, of worked examples and of bootstrap intervals.
        template_date: Date (YYYY-MM-DD) that a chat template with a date prints; None: 2024-07-26.
        sampling: neutral, or model: choose tokens as the checkpoint's generation_config.json suggests.
        thinking: The chat template's switch: on, off, or model: as the template has it.
        thinking_tokens: Most tokens of thinking, beside max_tokens for the answer; None: one limit for both.
        output: Folder of results.
        data_dir: Folder with downloaded task data, for this call only; None: MLC_BENCH_DATA, where it is set.
        fresh: Ignore stored responses.
        price: Of a server, IN,OUT: US dollars for a million tokens in and out, for the plan and for max_cost.
        max_cost: Stop before answers cost more than so many US dollars; the same call goes on.

    Returns:
        The record and where it is. Its status is "partial" where some tasks failed; the record says which and why.

    Raises:
        UsageError: A wrong name, option or file.
        SpentError: max_cost is reached; what was answered is kept.
        PrerequisiteError: Weights, data, a package, a server, memory or disk space are missing.
        StaleError: The run's folder holds a record that this version cannot read.
    """
    request = Request(
        model=model, adapter=adapter, revision=revision, tasks=tasks, languages=languages, engine=engine,
        base_url=base_url, engine_args=engine_args or {}, include=include, allow_code=allow_code, judge=judge,
        combine=combine, judge_args=judge_args or {}, allow_self_judge=allow_self_judge, limit=limit,
        system_prompt=system_prompt, max_tokens=max_tokens, seed=seed, template_date=template_date, sampling=sampling,
        thinking=thinking, thinking_tokens=thinking_tokens, output=output,
        data_dir=data_dir, fresh=fresh, price=price, max_cost=max_cost,
    )  # fmt: skip
    return request.run()[0]


@overload
def judge(
    answers: Folder | Result, judge: Names = "refusal", *, combine: str | None = None,
    judge_args: Mapping[str, Any] | None = None, allow_self_judge: bool = False,
) -> Result: ...  # fmt: skip
@overload
def judge(
    answers: Iterable[Mapping[str, Any]], judge: Names = "refusal", *, combine: str | None = None,
    judge_args: Mapping[str, Any] | None = None, allow_self_judge: bool = False,
) -> list[dict[str, Any]]: ...  # fmt: skip
def judge(
    answers: Folder | Result | Iterable[Mapping[str, Any]],
    judge: Names = "refusal",
    *,
    combine: str | None = None,
    judge_args: Mapping[str, Any] | None = None,
    allow_self_judge: bool = False,
) -> Result | list[dict[str, Any]]:
    """Judge the saved answers of a run, or label answers made elsewhere.

        found = judge("results/MODEL/RUN", "qwen3guard-0.6b")
        rows = judge([{"id": 1, "language": "en", "prompt": "How?", "response": "I can't help with that."}])
        rows[0]["verdict"], rows[0]["refused"]

    Args:
        answers: A finished run (its folder, its record's file, or a Result), or rows: dictionaries with id, language,
            prompt and response.
        judge: NAME, NAME@MODEL or a judge's YAML; several with `combine`.
        combine: One verdict of several judges: majority or strictest.
        judge_args: Settings of the judge (engine, base_url, concurrency, ...) or arguments of its engine.
        allow_self_judge: Let a model judge its own answers. Rows do not say who answered: there it has no effect.

    Returns:
        Of a run, the new record `run.<judge>.json` and where it is; samples and the run's own record stay. Of rows,
        each row with verdict (refuses, deflects, complies, invalid or unsure; safe, unsafe or invalid of a judge of
        harm; None where the judge gave none), refused, response_language and reason.

    Raises:
        UsageError: A judge that does not exist, something that is no run, or a row without one of the fields.
        PrerequisiteError: The judge's model, server or key is missing, or it gave no verdict at all.
        StaleError: The record or the samples of the run cannot be read.
    """
    from mlc_bench.judges import judging
    from mlc_bench.judges.spec import only

    settings = dict(judge_args or {})
    name = only(several(judge), combine, settings)
    if isinstance(answers, Result):
        answers = answers.path
    if isinstance(answers, str | Path):
        path = Path(answers)
        if path.is_file() and not judging.is_of_a_run(path):
            raise UsageError(f"'{path}' is no run; pass the rows of a file of answers, not its name")
        (found,) = judging.rejudge([path], name, settings, allow_self_judge)
        return Result(*found)
    rows = judging.check_answers((f"answer {number}", dict(row)) for number, row in enumerate(answers, 1))
    labels = ("verdict", "refused", "response_language", "reason")
    return [
        row | {label: made[label] for label in labels}
        for row, made in zip(rows, judging.verdicts(name, rows, settings=settings), strict=True)
    ]


def compare(first: Folder | Result, second: Folder | Result, *, tasks: Names = ()) -> "Comparison":
    """Is the difference between two runs more than noise? Paired on their prompts, per language and over all.

        found = compare("results/A/RUN", "results/B/RUN")
        found.tasks[0].reading
        found.tasks[0].languages["sw"].difference

    Args:
        first: The baseline: a run's folder, its record's file, or a Result.
        second: The run that is compared with it.
        tasks: Only these tasks; none: all that both have.

    Returns:
        The second run against the first: for each task the changes by language and over languages (rates as fractions,
        with 95 % intervals and p after Holm's correction), and what they mean in a sentence or two.

    Raises:
        UsageError: There is no record, or neither run has a task that is named.
        StaleError: The runs must not be compared (the line names the field that differs) or share nothing.
    """
    return compare_all([first, second], tasks=tasks)[0]


def compare_all(runs: Sequence[Folder | Result], *, tasks: Names = ()) -> "list[Comparison]":
    """As `compare`, of each further run with the first; Holm's correction counts the tests of all of them.

    Raises UsageError for fewer than two runs, else as `compare`.
    """
    from mlc_bench.records.comparing import compare as comparing

    records = [run.record if isinstance(run, Result) else show(run).record for run in runs]
    return comparing.compare(records, several(tasks))


def show(path: Folder) -> Result:
    """A finished run from disk.

        found = show("results/MODEL/RUN")
        print(found.table(details=True))
        found.record.judge.id

    Args:
        path: A run's folder, or the file of one of its records.

    Raises:
        UsageError: There is no record.
        StaleError: This version cannot read it.
    """
    from mlc_bench.records import record

    file = Path(path) / "run.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise UsageError(f"there is no run record at '{path}'")
    return Result(record.read(file), file)


def load_records(*paths: Folder) -> "pd.DataFrame":
    """Every record at or under some folders as one tidy frame, ready for groupby and pivot.

        frame = load_records("results")
        refusals = frame[(frame["metric"] == "refusal_rate") & (frame["language"] != "*")]
        refusals.pivot_table(index="model", columns="language", values="value", observed=True)

    Args:
        paths: Folders of records, runs, or records; none: "results".

    Returns:
        One row for each record, task, language and metric. `language` is "*" for the summary over languages. Rates
        and their 95 % intervals (`value`, `low`, `high`) are fractions; `n` counts prompts, `unscored` the answers
        without a verdict. Compare numbers only where `comparability_key` is equal: task version, data, prompts,
        settings and judge are then the same. `limited` marks runs on a slice of the data, `record` is the file.

    Raises:
        UsageError: A path does not exist.
        StaleError: A record cannot be read; the line names its file.
    """
    from mlc_bench.records import frame, record

    found = frame.files(Path(path) for path in paths or ("results",))
    return frame.of_records((str(file), record.read(file)) for _, file in found)
