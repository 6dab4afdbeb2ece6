"""GRPO (arXiv 2402.03300) on prompts alone: the model's own answers are rewarded, none is given.

Each prompt gets several answers; an answer's advantage is its reward less the mean of its group, over the group's
standard deviation. With `groups: translations` a group is one prompt in several languages: an answer is held against
those to its translations, so that a language in which the model does worse than in the others is corrected towards
them, and one that does as well is left alone. Answers to one prompt in one language are then compared through the
others only.

The loss, the sampling and the update are TRL's (its defaults: no division by length, clipping at 0.2, answers by
transformers).
"""

import random
import warnings
from typing import Any, Literal

from datasets import Dataset
from pydantic import Field, model_validator

from mlc_bench.baselines import rewards
from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data import tokenize_rows, training_data
from mlc_bench.baselines.data.formats import PIVOT
from mlc_bench.baselines.run import TrainRun

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")  # which does not answer here
    from trl import GRPOConfig, GRPOTrainer

NEEDS: dict[str, bool] = {"chosen": False}


class Config(TrainConfig):
    learning_rate: float = Field(1e-5, gt=0, description="the highest, after the warmup")
    generations: int = Field(4, ge=2, description="answers in a group; divides batch_size x accumulation")
    groups: Literal["prompt", "translations"] = Field(
        "prompt", description="answers to one prompt, or to one prompt in several languages"
    )
    languages: list[str] | None = Field(
        None, min_length=1, description="languages that are asked in; default: all of the data"
    )
    answer_tokens: int = Field(48, ge=1, description="most tokens of an answer")
    temperature: float = Field(1.0, gt=0, description="of sampling")
    beta: float = Field(0.0, ge=0, description="weight of the KL divergence from the model at the start")
    rewards: dict[str, float] = Field(
        {"refusal": 1.0, "language": 0.25, "content": 0.5},
        min_length=1,
        description="weights of refusal, language, content and FILE.py:FUNCTION of your own",
    )

    @model_validator(mode="after")
    def _whole_groups(self) -> "Config":
        if self.batch_size * self.accumulation % self.generations:
            raise ValueError("batch_size x accumulation must be a multiple of generations")
        return self


class Trainer(GRPOTrainer):
    """TRL's, on batches that bring their rows under the key `rows`, beside the prompts of MLC.

    A row has a prompt in one language or more: `codes` and `texts`, and `kind`.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.data_collator = lambda rows: {"rows": rows}

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """TRL's, with an order that depends on the epoch alone: its own goes on from where it was, and a run that was
        killed would begin again with the first epoch's.
        """
        sampler = super()._get_train_sampler(dataset)
        sampler.set_epoch = lambda epoch: sampler.generator.manual_seed(self.args.seed + epoch)
        return sampler

    def get_batch_samples(self, *given: Any) -> Any:
        """Every pass of a step is given all rows, each once for each answer. MLC reads each of them once a step."""
        batches, items = super().get_batch_samples(*given)
        prompts = [batch.pop("mlc_prompts") for batch in batches if "mlc_prompts" in batch]
        for number, batch in enumerate(batches if prompts else ()):
            part = prompts[0].dealt(number, len(batches))
            batch |= {"mlc_prompts": part} if part.groups else {}
        return batches, items

    def _prepare_inputs(self, batch: Any) -> Any:
        return super()._prepare_inputs([self._asked(*entry) for entry in enumerate(batch["rows"])])

    def _asked(self, place: int, row: dict[str, Any]) -> dict[str, Any]:
        """What is asked at a place of a batch, where the rows of a group follow each other.

        A row in several languages is asked in English first, then in others, drawn anew at each step.
        """
        texts = dict(zip(row["codes"], row["texts"], strict=True))
        others = [code for code in texts if code != PIVOT]
        random.Random(f"{self.args.seed} {self.state.global_step} {row['texts'][0]}").shuffle(others)
        order = [code for code in (PIVOT, *others) if code in texts]
        code = order[place % self.num_generations % len(order)]
        return {"prompt": texts[code], "language": code, "kind": row["kind"]}

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """As for every other method."""
        return [tokenize_rows.prompt_ids(self.processing_class, prompt) for prompt in prompts], None, {}


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    config: Config = run.config
    codes = training_data.spoken(run.rows) if config.languages is None else config.languages
    functions = [rewards.get(name, config.answer_tokens) for name in config.rewards]
    arguments = GRPOConfig(
        **run.arguments(),
        num_generations=config.generations,
        steps_per_generation=config.accumulation,
        max_completion_length=config.answer_tokens,
        temperature=config.temperature,
        beta=config.beta,
        reward_weights=list(config.rewards.values()),
    )
    run.languages |= set(codes)
    return run.trainer(Trainer, arguments, run.stored(lambda: _dataset(run, codes)), reward_funcs=functions)


def _dataset(run: TrainRun, codes: list[str]) -> Dataset:
    """An entry for each prompt in each language, or for each row, as the groups ask for."""
    alone = run.config.groups == "prompt"
    entries = []
    for row in run.rows:
        known = [code for code in codes if code in row["prompts"]]
        entries += [(row, part) for part in ([[code] for code in known] if alone else [known]) if part]
    columns = [
        {"codes": part, "texts": [row["prompts"][code] for code in part], "kind": row["kind"]} for row, part in entries
    ]
    return Dataset.from_list(run.with_prompts(columns, [row for row, _ in entries]))
