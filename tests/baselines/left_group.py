"""Run by processes (torchrun): `train-baseline`, and at the end of Python whether they have left their group."""

import atexit

from torch import distributed

from mlc_bench.baselines import cli

atexit.register(lambda: print("a group is left behind" if distributed.is_initialized() else "left the group"))
cli.main()
