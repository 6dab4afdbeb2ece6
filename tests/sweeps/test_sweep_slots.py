"""How jobs are spread over engines and GPUs."""

import pytest

from mlc_bench.core.errors import UsageError
from mlc_bench.sweeps import slots
from mlc_bench.sweeps.jobs import numbered, shards


def jobs(models, adapters, **settings):
    return numbered([{"model": model, "adapter": adapter} | settings for model in models for adapter in adapters])


def names(found):
    return [[job.name for job in shard] for shard in found]


def test_adapters_of_one_base_share_an_engine_and_the_base_comes_first():
    asked = jobs(["m", "n"], ["a", None, "b"])
    assert names(shards(asked)) == [["m", "m+a", "m+b"], ["n", "n+a", "n+b"]]


def test_more_engines_at_once_than_bases_share_the_adapters():
    asked = jobs(["m", "n"], ["a", "b", "c", "d"])
    found = shards(asked, at_once=6)
    assert sorted(name for shard in names(found) for name in shard) == sorted(job.name for job in asked)
    assert sorted(map(len, found)) == [1, 1, 1, 1, 2, 2]
    assert len(shards(asked, at_once=100)) == len(asked)


def test_other_settings_are_another_engine_and_other_judges_are_not():
    asked = numbered(
        [{"model": "m", "seed": 1}, {"model": "m", "seed": 2}, {"model": "m", "seed": 1, "judge": ["rules"]}]
    )
    assert [len(shard) for shard in shards(asked)] == [2, 1]


def test_names_tell_jobs_apart():
    asked = numbered([{"model": "m", "adapter": f"{run}/checkpoint-1"} for run in ("dpo", "sft")])
    assert [job.name for job in asked] == ["m+dpo/checkpoint-1", "m+sft/checkpoint-1"]


@pytest.mark.parametrize(
    ("gpus", "workers", "arguments", "expected"),
    [
        ("", None, {}, [()]),
        ("", 3, {}, [(), (), ()]),
        ("0123", None, {}, [("0",), ("1",), ("2",), ("3",)]),
        ("0123", 2, {}, [("0",), ("1",)]),
        ("01234", None, {"tensor_parallel_size": 2}, [("0", "1"), ("2", "3")]),
    ],
)
def test_the_gpus_of_each_engine(gpus, workers, arguments, expected):
    asked = jobs(["m"], ["a", "b"], engine="vllm", engine_args=arguments)
    assert slots.share(asked, workers, tuple(gpus)) == expected


def test_a_server_takes_no_gpu_of_this_machine():
    assert slots.share(jobs(["m"], [None], engine="openai"), 2, ("0",)) == [(), ()]


def test_a_job_that_needs_more_gpus_than_there_are():
    asked = jobs(["m"], ["a"], engine="vllm", engine_args={"tensor_parallel_size": 8})
    with pytest.raises(UsageError, match=r"a job needs 8 GPUs .* and here are 2"):
        slots.share(asked, None, ("0", "1"))


def test_judges_without_a_model_take_no_gpu():
    assert [slots.of_judge(name, {}) for name in ("rules", "refusal", "majority(rules,refusal)")] == [0, 0, 0]
    assert slots.of_judge("qwen3guard-0.6b", {}) == 1
    assert slots.of_judge("qwen3guard-0.6b", {"engine": "openai", "base_url": "http://localhost:1/v1"}) == 0
