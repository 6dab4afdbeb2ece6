"""How long contributors wait: `tasks validate` of everything, and the overlap of 3,000 training rows in ten languages.

    python benchmarks/contributor.py

The rows are the embedded prompts with their words (in scripts without spaces: characters) in another order, so that
each is a text of its own and hardly any overlaps.
"""

import random
import subprocess
import sys
import time

from mlc_bench.catalog import data, languages, listing
from mlc_bench.contribute import overlap
from mlc_bench.judges.rules.rules import UNSPACED

ROWS = 3000
LANGUAGES = 10


def main() -> None:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from mlc_bench.contribute import validate; validate.check()"], check=True)
    print(f"tasks validate, everything embedded, imports included: {time.perf_counter() - start:.1f} s")
    texts = training()
    start, used = time.perf_counter(), time.process_time()
    found = overlap.report(texts)
    wall, processor = time.perf_counter() - start, time.process_time() - used
    near = sum(counts["overlapping"] for by_code in found.values() for counts in by_code.values())
    compared = sum(counts["prompts"] for by_code in found.values() for counts in by_code.values())
    print(
        f"tasks overlap, {ROWS} rows x {LANGUAGES} languages against {compared} prompts: "
        f"{wall:.1f} s, of them {processor:.1f} s on the processor; {near} overlap"
    )


def training() -> dict[str, list[str]]:
    """Shuffled prompts: `ROWS` texts in each of `LANGUAGES` languages."""
    shuffler = random.Random(0)
    texts: dict[str, list[str]] = {}
    documents = data.read(listing.tasks()["starter_harmful"].source)
    for code in sorted(documents)[:LANGUAGES]:
        joint = "" if languages.get(code).script in UNSPACED else " "
        texts[code] = []
        for number in range(ROWS):
            prompt = documents[code][number % len(documents[code])]["prompt"]
            parts = prompt.split() if joint else list(prompt)
            shuffler.shuffle(parts)
            texts[code].append(joint.join([*parts, str(number)]))
    return texts


if __name__ == "__main__":
    main()
