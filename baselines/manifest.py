"""What `train_manifest.json` says of weights, beside each checkpoint and beside the result."""

import resource
import sys
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig

from mlc_bench.core import secrets
from mlc_bench.core.provenance import git
from mlc_bench.engines.vllm_cpu import version

if TYPE_CHECKING:
    from mlc_bench.baselines.run import TrainRun

COUNTED_FROM = "attention mask"  # how a manifest's tokens were counted; earlier ones do not say
_PACKAGES = ("mlc-bench", "torch", "transformers", "trl", "peft", "accelerate", "datasets")


def of(run: "TrainRun", trainer: Any) -> dict[str, Any]:
    """What the weights of this moment are: after the last step so far."""
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    data = run.data
    return {
        "method": run.label,
        "run": run.id,
        "base_model": {
            "name": secrets.text(run.base.name),
            "revision": run.base.resolved_revision,
            "weights_digest": run.base.weights_digest,
        },
        "config": secrets.removed(run.config.model_dump(mode="json", exclude={"output"})),
        "data": {
            "files": secrets.removed(data.files),
            "fingerprint": data.fingerprint,
            "rows": len(data.rows),
            "dropped": data.dropped,
            "overlap": data.overlap,
            "languages": sorted(run.languages),
        },
        "seed": run.config.seed,
        "versions": {name: version(name) for name in _PACKAGES},
        "commit": git().get("commit"),
        "steps": trainer.state.global_step,
        "final_loss": steps[-1]["loss"] if steps else None,
        "tokens": steps[-1]["tokens"] if steps else 0,
        **({"mlc_tokens": steps[-1]["mlc_tokens"] if steps else 0} if run.config.mlc else {}),
        **({"reference_tokens": run.reference_tokens} if run.reference_tokens else {}),
        "counted_from": COUNTED_FROM,
        "seconds": steps[-1].get("seconds") if steps else None,
        "peak_memory_bytes": peak_memory(),
    }


def peak_memory() -> int:
    """The most memory this process has used so far, in bytes: the GPU's, else its resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def uses_cache(run: "TrainRun") -> bool:
    """Whether the base model's configuration keeps keys and values while it answers; the trainer switches that off."""
    return bool(getattr(AutoConfig.from_pretrained(run.base.path), "use_cache", True))
