"""Usage statistics of the libraries: off, unless the user has said otherwise.

TRL reports each training run to the hub, and vLLM each start of an engine to its makers. Both read the environment
when they are imported, or start processes that do.
"""

import os

_SWITCHES = {  # what turns it off -> what else the library asks; where the user has set any of these, it is left alone
    "HF_HUB_DISABLE_TELEMETRY": ("DISABLE_TELEMETRY", "DO_NOT_TRACK"),  # TRL, transformers
    "VLLM_NO_USAGE_STATS": ("VLLM_DO_NOT_TRACK", "DO_NOT_TRACK"),
}


def turn_off() -> None:
    """Set the libraries' own switches in the environment, which child processes inherit."""
    for switch, others in _SWITCHES.items():
        if not any(name in os.environ for name in (switch, *others)):
            os.environ[switch] = "1"
