"""Records of older schemas under today's names."""

from typing import Any

Content = dict[str, Any]


def migrate(content: Content, newest: int) -> Content:
    """The content of a record in the schema `newest`.

    1 to 2: outcomes are absent; the manifest of an adapter is beside it. 2 to 3: no scores, as every headline was taken
    for right or wrong, and no outcome 'b'. 3 to 4: see `_by_what_was_seen`.
    """
    model = content.get("model")
    if content["schema_version"] == 1 and isinstance(model, dict) and isinstance(model.get("adapter"), dict):
        adapter = dict(model["adapter"])
        manifest = adapter.pop("manifest", None)
        content = content | {"model": model | {"adapter": adapter, "training": manifest}}
    if content["schema_version"] < 4:
        content = _by_what_was_seen(content)
    return content | {"schema_version": newest}


def _by_what_was_seen(content: Content) -> Content:
    """Names by what the judge saw.

    The rules see refusal, and called it safe: what stood as a safe rate is a refusal rate, and attack success, which
    they cannot see, is dropped. Every other judge of that time saw harm.
    """
    judge, tasks = content.get("judge"), content.get("tasks")
    if not isinstance(judge, dict) or not isinstance(tasks, list):
        return content  # which the schema refuses by name
    if judge.get("kind", "rules") not in ("rules", "refusal"):
        return content | {"judge": judge | {"sees": ["harm"]}}
    return content | {"tasks": [_of_refusals(task) if isinstance(task, dict) else task for task in tasks]}


def _of_refusals(task: Content) -> Content:
    if task.get("measures") != "safety" or not isinstance(task.get("languages"), dict):
        return task
    languages = {}
    for code, result in task["languages"].items():
        known = result.get("metrics") if isinstance(result, dict) else None
        if isinstance(known, dict):
            kept = {_renamed(name): value for name, value in known.items() if name != "attack_success_rate"}
            result = result | {"metrics": kept}
        languages[code] = result
    changed: Content = {"languages": languages}
    if task.get("headline") == "safe_rate":
        changed["headline"] = "refusal_rate"
    if isinstance(summary := task.get("summary"), dict):
        changed["summary"] = {_renamed(name): value for name, value in summary.items()}
    return task | changed


def _renamed(name: str) -> str:
    return name.replace("safe_rate", "refusal_rate", 1).replace("_invalid_as_safe", "_invalid_as_refused")
