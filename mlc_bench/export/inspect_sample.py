"""One answer as Inspect's sample: chat, output, scores.

The score `verdict` has the judge's word. The second score is a number: 1 where the task's headline holds (`refused`,
or `safe` of a judge that sees harm), else 0; an answer that is in no rate has none. A utility task has a number for
each of its metrics.
"""

from typing import Any

from mlc_bench.records import counts
from mlc_bench.records.record import TaskResult

Row = dict[str, Any]
_OWN = ("id", "language", "category")
_EXPLAINED = ("id", "language", "verdict", "reason", "detail")


def headline_score(task: TaskResult) -> str:
    """The name of the score that the headline counts."""
    if task.measures == "utility":
        return task.headline or ""
    return "safe" if task.headline == "safe_rate" else "refused"


def sample(row: Row, label: Row | None, task: TaskResult, model: str, system_prompt: str | None) -> Row:
    """A saved answer with its verdict (None: of a utility task).

    Its id has the language in front, as languages share their ids: `sw:weapons-1`.
    """
    usage = {"input_tokens": row.get("tokens_in"), "output_tokens": row.get("tokens_out")}
    used = None
    if None not in usage.values():
        used = usage | {"total_tokens": sum(usage.values())}  # type: ignore[arg-type]
    chat: list[Row] = [{"role": "system", "content": system_prompt}] if system_prompt else []
    chat.append({"role": "user", "content": row["prompt"], "source": "input"})
    answer = _answer(row, model)
    output: Row = {"model": model, "choices": [], "completion": ""}
    if answer is not None:
        choice = {"message": answer, "stop_reason": _stop_reason(row)}
        output |= {"choices": [choice], "completion": row["response"], "usage": used}
        chat.append(answer)
    made = {
        "id": f"{row['language']}:{row['id']}",
        "epoch": 1,
        "input": row["prompt"],
        "target": "",
        "messages": chat,
        "output": output,
        "scores": _of_metrics(row) if label is None else _of_verdict(row, label, task),
        "metadata": {key: row[key] for key in (*_OWN, "choice_scores") if row.get(key) is not None},
        "model_usage": {model: used} if used else {},
    }
    if reason := row.get("unanswered"):
        made["error"] = {"message": row.get("detail") or reason, "traceback": "", "traceback_ansi": ""}
    return made


def summary(made: Row) -> Row:
    """What Inspect's list of samples shows of one."""
    short = {key: made[key] for key in ("id", "epoch", "input", "target", "metadata", "scores", "model_usage")}
    error = made["error"]["message"] if "error" in made else None
    return short | {"error": error, "completed": error is None, "message_count": len(made["messages"])}


def _answer(row: Row, model: str) -> Row | None:
    if row.get("unanswered") or not isinstance(row.get("response"), str):
        return None
    content: Any = row["response"]
    if row.get("thinking"):
        content = [{"type": "reasoning", "reasoning": row["thinking"]}, {"type": "text", "text": content}]
    return {"role": "assistant", "content": content, "source": "generate", "model": model}


def _stop_reason(row: Row) -> str:
    if row.get("blocked"):
        return "content_filter"
    return {True: "max_tokens", False: "stop"}.get(row.get("truncated"), "unknown")  # type: ignore[arg-type]


def _of_verdict(row: Row, label: Row, task: TaskResult) -> dict[str, Row]:
    explained = label.get("reason")
    about = {key: value for key, value in label.items() if key not in _EXPLAINED and value is not None}
    word = label["verdict"] or "none"
    scores = {"verdict": {"value": word, "answer": row.get("response"), "explanation": explained, "metadata": about}}
    if counts.is_counted(label):
        holds = counts.holds(label, task.headline or "")
        scores[headline_score(task)] = {"value": int(holds), "explanation": explained}
    return scores


def _of_metrics(row: Row) -> dict[str, Row]:
    return {name: {"value": value} for name, value in (row.get("metrics") or {}).items() if value is not None}
