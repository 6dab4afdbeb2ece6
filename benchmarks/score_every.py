"""What scores while training add to the same commands given one by one: python benchmarks/score_every.py

A small model of random weights is trained twice for each round: with `--score-every`, and without it but with every
checkpoint kept, which `mlc-bench run` then scores, one after another. Both come to the same records, which is checked.
The figure is the time of the first by that of the second, by the clock and in processor seconds; on a machine that has
other work only the second holds. Which of the two goes first alternates.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from mlc_bench.baselines import score
from mlc_bench.engines import demo_models
from mlc_bench.records.record import RunRecord

BOUND = 1.05


def random_model(folder: Path, width: int) -> None:
    """Two layers of random weights, with the tokenizer and the chat template of demo-tiny."""
    tokenizer = AutoTokenizer.from_pretrained(demo_models.folder("demo-tiny"))
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=2048, **ends,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class Side:
    """One of the two ways, with the seconds of all its commands so far."""

    def __init__(self, name: str) -> None:
        self.name, self.clock, self.processor = name, 0.0, 0.0

    def run(self, command: list[str]) -> str:
        """Do a command and note its time, that of its children with it. Returns what it printed."""
        clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.clock += time.perf_counter() - clock
        self.processor += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return done.stdout


def numbers(found: RunRecord) -> tuple[Any, ...]:
    """What a record has of its step: verdict by verdict."""
    step = (found.model.training or {})["step"]
    columns = {(task.name, code): one.outcomes for task in found.tasks for code, one in task.languages.items()}
    return (step, *sorted(columns.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--points", type=int, default=2, help="scores in a run")
    parser.add_argument("--every", type=int, default=10, help="steps between two")
    parser.add_argument("--languages", default="en")
    parser.add_argument("--width", type=int, default=64, help="of the random model")
    options = parser.parse_args()
    train = str(Path(sys.executable).with_name("train-baseline"))
    sides = together, apart = Side("--score-every"), Side("one by one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        random_model(folder / "model", options.width)
        steps = options.points * options.every
        settings = ["sft", "--lora", "--bf16", "false", "--max-steps", steps, "--save-steps", options.every]
        settings += ["--model", folder / "model", "--learning-rate", "1e-3", "--accumulation", 1]

        def scored_while_training(output: Path) -> list[RunRecord]:
            more = ["--score-every", options.every, "--score-languages", options.languages]
            together.run([train, *map(str, [*settings, *more, "--output", output])])
            return score.finished(output)

        def scored_afterwards(output: Path) -> list[RunRecord]:
            apart.run([train, *map(str, [*settings, "--keep-checkpoints", "all", "--output", output])])
            made = []
            for step in range(options.every, steps + 1, options.every):
                checkpoint = output / "checkpoints" / f"checkpoint-{step}"
                command = ["run", "--model", folder / "model", "--adapter", checkpoint, "--engine", "hf", "--json"]
                command += ["--tasks", ",".join(score.TASKS), "--languages", options.languages]
                command += ["--output", output / score.FOLDER]
                printed = apart.run([str(Path(train).with_name("mlc-bench")), *map(str, command)])
                made.append(RunRecord.model_validate(json.loads(printed)[0]))
            return made

        ways = [(together, scored_while_training), (apart, scored_afterwards)]
        for number in range(options.rounds):
            outputs = {side.name: folder / f"{number}-{place}" for place, side in enumerate(sides)}

            found = [
                sorted(map(numbers, way(outputs[side.name])))
                for side, way in (ways if number % 2 == 0 else reversed(ways))
            ]
            assert found[0] == found[1], "the two ways have other verdicts"
            assert len(found[0]) == options.points, "a point is missing"
            print(
                f"{options.points} points, {steps} steps, {options.languages}: --score-every {together.clock:.1f} s "
                f"({together.processor:.1f} s of processor), one by one {apart.clock:.1f} s ({apart.processor:.1f} s); "
                f"ratio {together.clock / apart.clock:.3f}, of processor time "
                f"{together.processor / apart.processor:.3f} (bound {BOUND})",
                flush=True,
            )


if __name__ == "__main__":
    main()
