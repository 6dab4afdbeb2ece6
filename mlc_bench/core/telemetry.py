"""Usage statistics of the libraries: off, unless the user has said otherwise.

TRL reports each training run to the hub, vLLM each start of an engine to its makers, and Ray each cluster that it
starts. All read the environment when they are imported, or start processes that do.
"""

import os

_SWITCHES = {  # what turns it off -> its value, and what else the library asks; where any is set, it is left alone
    "HF_HUB_DISABLE_TELEMETRY": ("1", ("DISABLE_TELEMETRY", "DO_NOT_TRACK")),  # TRL, transformers
    "VLLM_NO_USAGE_STATS": ("1", ("VLLM_DO_NOT_TRACK", "DO_NOT_TRACK")),
    "RAY_USAGE_STATS_ENABLED": ("0", ()),
}


def turn_off() -> None:
    """Set the libraries' own switches in the environment, which child processes inherit."""
    for switch, (value, others) in _SWITCHES.items():
        if not any(name in os.environ for name in (switch, *others)):
            os.environ[switch] = value
