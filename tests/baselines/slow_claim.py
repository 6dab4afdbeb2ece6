"""Run by two processes (torchrun): both take one output folder while the first is slow to write what it claims."""

import sys
import time
from pathlib import Path

from accelerate import PartialState

from mlc_bench.baselines import run

folder = Path(sys.argv[1])
whole = run.write_text


def slow(path, text):
    path.parent.mkdir(parents=True)
    (path.parent / ".half").touch()  # as the real one has its file under another name until it is whole
    time.sleep(2)
    (path.parent / ".half").unlink()
    whole(path, text)


run.write_text = slow
with run.ending_group():
    PartialState(cpu=True).wait_for_everyone()
    if not PartialState().is_main_process:
        time.sleep(1)
    run.claim(folder, {"method": "mlc"})
print("claimed", flush=True)
