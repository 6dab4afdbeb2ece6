"""mlc-bench: multilingual safety evaluation for language models.

Its Python interface is `mlc_bench.api`, whose names are here too. They are loaded when they are first used, so that
`import mlc_bench` takes no time.
"""

from typing import TYPE_CHECKING

from mlc_bench.core import processor, telemetry

__version__ = "0.2.0"
# Here, as every way in comes by, before it imports anything that sends statistics or starts threads.
telemetry.turn_off()
processor.wait_passively()

__all__ = ["Request", "Result", "compare", "compare_all", "judge", "load_records", "run", "show"]

if TYPE_CHECKING:
    from mlc_bench.api import Request, Result, compare, compare_all, judge, load_records, run, show
else:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module 'mlc_bench' has no attribute '{name}'")
        from mlc_bench import api

        return getattr(api, name)

    def __dir__():
        return sorted({*globals(), *__all__})
