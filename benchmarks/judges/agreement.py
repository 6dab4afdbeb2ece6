"""How often two runs of the same prompts get the same verdict:

    python benchmarks/judges/agreement.py RUN_A RUN_B [--task pku]

RUN_A and RUN_B are run folders (results/<model>/<run_id>). Prints agreement per language and, for English, each prompt
where the verdicts differ with the first character at which the answers part.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from mlc_bench.catalog.data import read_json_lines

Key = tuple[str, str]


def rows(folder: Path, part: str, task: str) -> dict[Key, dict[str, object]]:
    found = read_json_lines(folder / part / f"{task}.jsonl")
    return {(row["language"], row["id"]): row for _, row in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--task", default="pku")
    parser.add_argument("--judge", default="rules")
    options = parser.parse_args()
    verdicts = [rows(folder, f"verdicts/{options.judge}", options.task) for folder in (options.first, options.second)]
    answers = [rows(folder, "samples", options.task) for folder in (options.first, options.second)]
    shared = [key for key in verdicts[0] if key in verdicts[1]]
    same_verdict, same_text, count = defaultdict(int), defaultdict(int), defaultdict(int)  # type: ignore[var-annotated]
    for key in shared:
        count[key[0]] += 1
        same_verdict[key[0]] += verdicts[0][key]["verdict"] == verdicts[1][key]["verdict"]
        same_text[key[0]] += answers[0][key]["response"] == answers[1][key]["response"]
    for code in count:
        print(
            f"{code}: {count[code]} prompts, same verdict {100 * same_verdict[code] / count[code]:.1f} %, "
            f"same answer {100 * same_text[code] / count[code]:.1f} %"
        )
    for key in shared:
        labels = [str(found[key]["verdict"]) for found in verdicts]
        if key[0] == "en" and labels[0] != labels[1]:
            first, second = (str(found[key]["response"]) for found in answers)
            part = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
            print(f"  prompt {key[1]}: {labels[0]} / {labels[1]}, the answers part at character {part}")


if __name__ == "__main__":
    main()
