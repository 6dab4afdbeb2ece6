"""Run records made up for tests of the leaderboard."""

import hashlib
from pathlib import Path

import numpy as np

from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.records import aggregate, record

LANGUAGES = ("en", "sw", "ps", "ar")
TASKS = (("harm", "safety", "benign"), ("benign", "over_refusal", None), ("quiz", "utility", None))
HEADLINES = {"safety": "refusal_rate", "over_refusal": "over_refusal", "utility": "acc"}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def outcomes(name, task, languages, n, chance=0.7, invalid=0.05):
    """One string a language, with prompts of their own difficulty so that languages correlate; always the same."""
    generator = np.random.default_rng(int(sha(f"{name}/{task}")[:8], 16))
    difficulty = np.random.default_rng(int(sha(task)[:8], 16)).normal(size=n) * 0.15
    found = {}
    for place, code in enumerate(languages):
        level = chance if isinstance(chance, int | float) else chance[code]
        hit = generator.random(n) < level - 0.02 * place + difficulty
        bad = generator.random(n) < (0 if task == "quiz" else invalid)
        found[code] = "".join("i" if b else str(int(h)) for h, b in zip(hit, bad, strict=True))
    return found


def task_result(name, measures, companion, strings, version=1, policy="", parallel=True, generation=None):
    result = record.TaskResult(
        name=name, pack="made-up", version=version, measures=measures, status="complete", over_refusal_task=companion,
        headline=HEADLINES[measures], generation=generation or {"max_gen_toks": 64}, parallel=parallel,
    )  # fmt: skip
    for code, text in strings.items():
        ones, judged, invalid = text.count("1"), len(text) - text.count("-"), text.count("i")
        prints = [sha(f"{part} {name} {version} {code}") for part in ("data", "prompts")]
        metrics = {HEADLINES[measures]: aggregate.rate(ones, judged)}
        if measures != "utility":
            metrics["invalid_rate"] = aggregate.rate(invalid, judged)
        result.languages[code] = record.LanguageResult(
            n=len(text), n_unscored=text.count("-"), truncated=0, tokens_in=1, tokens_out=1, data_fingerprint=prints[0],
            prompt_fingerprint=prints[1], comparability_key=digest(name, version, code, prints, policy),
            metrics=metrics, outcomes=text,
        )  # fmt: skip
    return result


def make(
    name="model-a", *, adapter=None, training=None, languages=LANGUAGES, n=40, chance=0.7, judge="rules", tasks=TASKS,
    version=1, run=None, finished="2026-11-01T00:00:00+00:00", weights=None, strings=None, limit=None,
    system_prompt=None,
):  # fmt: skip
    """A whole record; `strings` replaces the outcomes of tasks: {task: {language: outcomes}}."""
    label = name + (f"+{adapter}" if adapter else "")
    results = [
        task_result(
            task, measures, companion, (strings or {}).get(task) or outcomes(label, task, languages, n, chance),
            version if task == "harm" else 1, policy=(judge if measures != "utility" else "", system_prompt),
        )
        for task, measures, companion in tasks
    ]  # fmt: skip
    spec = RunSpec(model=name, engine="hf", tasks=tuple(task for task, *_ in tasks), judge=judge, limit=limit,
                   system_prompt=system_prompt)  # fmt: skip
    return record.RunRecord(
        run_id=run or sha(f"{label} {sorted(languages)} {version}")[:12], status="complete", limited=limit is not None,
        created=finished, finished=finished, spec=spec,
        model=record.ModelInfo(
            name=name, requested_revision=None, resolved_revision=None,
            weights_digest=weights or sha(f"weights {name}"), config_digest="c",
            tokenizer_digest="t", training=training, fingerprint=sha(label), dtype="bfloat16",
            adapter=record.AdapterInfo(name=adapter, digest=sha(adapter)) if adapter else None, quantization=None,
            engine="hf", engine_version="5.0", engine_args={},
        ),
        prompting=record.Prompting(chat_template="t", chat_template_sha256="s", system_prompt=system_prompt,
                                   first_token_ids=[1]),
        judge=record.JudgeInfo(id=judge, version="1", digest=sha(judge), parse_failures=0),
        tasks=results, phases={}, responses={}, packages={}, hardware={}, git={},
    )  # fmt: skip


def checkpoint(step, chance, run="a" * 12, base="base", method="dpo+mlc", **others):
    """A checkpoint of a training run as an adapter on the model `base`, with PAG and averages."""
    about = {"name": base, "revision": None, "weights_digest": sha(f"weights {base}")}
    training = {"method": method, "run": run, "step": step, "steps": step, "base_model": about}
    return summarised(make(base, adapter=f"checkpoint-{step}", training=training, chance=chance, **others))


def summarised(content):
    """With PAG and averages, as a real record has them."""
    for task in content.tasks:
        aggregate.summarise(task, content.spec.seed)
    return content


def save(folder, *records):
    """Records as files of a results folder."""
    for content in records:
        judge = "" if content.judge.id == "rules" else f".{content.judge.id}"
        record.write(content, Path(folder) / content.model.fingerprint[:8] / content.run_id / f"run{judge}.json")
    return Path(folder)


def family():
    """A base model and two methods trained from it, and a model of which nothing is known."""
    base = make("base", chance={"en": 0.8, "sw": 0.4, "ps": 0.35, "ar": 0.5})
    manifest = {
        "base_model": {"name": "base", "revision": None, "weights_digest": sha("weights base")},
        "data": {"languages": ["en", "sw"], "overlap": {"harm": {"en": 3, "sw": 1}}},
        "config": {"keep_out": ["quiz"]},
    }
    return [
        base,
        make("base", adapter="dpo", training=manifest | {"method": "dpo"}, chance=dict(en=0.9, sw=0.5, ps=0.4, ar=0.6)),
        make("base-mlc", training=manifest | {"method": "dpo+mlc"}, chance=0.95),
        make("other", chance=0.6, languages=("en", "sw", "ps")),
    ]  # fmt: skip
