"""Would the unit tests notice a wrong operator? python benchmarks/mutants.py [--module aggregate] [--seed 0]

Each mutant is a module with one operator changed: a comparison, an arithmetic or boolean operator, a number, min or
max, any or all, a condition, a returned value. They are drawn with the seed, and the unit tests of the module run
against each in a copy of the checkout. A mutant is killed where a test fails or the time limit passes (an endless
loop). Prints each survivor, then killed / total of each module; exit code 1 where less than 85 % are killed. A mutant
that changes nothing that can be observed counts as a survivor.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
ENOUGH = 0.85
COPIED = ("mlc_bench", "baselines", "leaderboard", "tests", "tasks", "docs", "pyproject.toml", "README.md")
SUBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "aggregate": (
        "mlc_bench/records/aggregate.py",
        ("records/test_aggregate.py", "records/test_record.py", "records/test_unscored_prompts.py",
         "records/test_direction.py", "records/test_scores.py"),
    ),
    "correction": (
        "mlc_bench/records/correction.py", ("judges/test_correction_numbers.py", "judges/test_calibration.py")
    ),
    "compare": (
        "mlc_bench/records/comparing/compare.py",
        ("records/test_compare_numbers.py", "records/test_compare.py", "records/test_scores.py"),
    ),
    "answers": ("mlc_bench/judges/answers.py", ("judges/test_answers.py", "judges/test_choices.py")),
    "choices": ("mlc_bench/judges/choices.py", ("judges/test_answers.py", "judges/test_choices.py")),
    "store": ("mlc_bench/engines/store.py", ("engines/test_store_details.py", "engines/test_store.py")),
    "taskfile": (
        "mlc_bench/catalog/taskfile.py",
        ("catalog/test_taskfile.py",),
    ),
}  # fmt: skip
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """What is run: no annotations, no decorators, no texts of messages."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield child
                yield from nodes(child)


def change(node: ast.AST, which: int) -> str:
    """Mutate a node in place in its `which`-th way; what was done, or an empty text where it has no such way."""
    if isinstance(node, ast.Compare) and which < len(node.ops):
        return _swapped(node.ops, which)
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and not which and type(node.op) in SWAPS:
        name, new = type(node.op).__name__, SWAPS[type(node.op)]()
        node.op = new  # type: ignore[assignment]
        return f"{name} to {type(new).__name__}"
    if isinstance(node, ast.UnaryOp) and not which and isinstance(node.op, (ast.Not, ast.USub)):
        name = type(node.op).__name__
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
        else:
            node.op = ast.UAdd()
        return f"{name} removed"
    if isinstance(node, ast.Constant) and not which and isinstance(node.value, (bool, int, float)):
        old_value = node.value
        node.value = not old_value if isinstance(old_value, bool) else old_value + 1
        return f"{old_value} to {node.value}"
    if isinstance(node, ast.Name) and not which and node.id in NAMES:
        node.id = NAMES[old_name := node.id]
        return f"{old_name} to {node.id}"
    if isinstance(node, (ast.If, ast.IfExp)) and not which:
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "condition negated"
    if isinstance(node, ast.Return) and not which and not _is_none(node.value):
        node.value = ast.Constant(None)
        return "returns None"
    return ""


def _swapped(operators: list[ast.cmpop], which: int) -> str:
    old = type(operators[which])
    operators[which] = SWAPS[old]()  # type: ignore[call-overload]
    return f"{old.__name__} to {type(operators[which]).__name__}"


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def mutants(source: str, seed: int, count: int) -> list[tuple[str, str]]:
    """(what was changed where, source) of so many mutants, all there are if there are fewer."""
    tree = ast.parse(source)
    places = [
        (index, which)
        for index, node in enumerate(nodes(tree))
        for which in range(3)
        if change(copy.deepcopy(node), which)
    ]
    found = []
    for index, which in sorted(random.Random(seed).sample(places, min(count, len(places)))):
        mutated = ast.parse(source)
        node = list(nodes(mutated))[index]
        line = getattr(node, "lineno", 0)
        what = change(node, which)
        found.append((f"line {line}: {what}", ast.unparse(ast.fix_missing_locations(mutated))))
    return found


def passes(checkout: Path, tests: tuple[str, ...], limit: float | None) -> bool:
    """Whether the unit tests pass in a copy of the checkout, within so many seconds."""
    known = [f"tests/{name}" for name in tests if (checkout / "tests" / name).is_file()]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not integration", "-p", "no:cacheprovider", *known]
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2, 4):  # 2 and 4: the mutant cannot be imported
        raise SystemExit(done.stdout.decode() + done.stderr.decode())
    return done.returncode == 0


def measure(name: str, copies: list[Path], seed: int, count: int) -> tuple[int, int]:
    """How many mutants of a module are killed, of how many; survivors are printed."""
    module, tests = SUBJECTS[name]
    start = time.perf_counter()
    if not passes(copies[0], tests, None):
        raise SystemExit(f"{name}: the tests fail without a mutant")
    limit = 20 + 5 * (time.perf_counter() - start)
    source = (ROOT / module).read_text(encoding="utf-8")
    free: SimpleQueue[Path] = SimpleQueue()
    for checkout in copies:
        free.put(checkout)

    def survives(mutant: tuple[str, str]) -> bool:
        checkout = free.get()
        try:
            (checkout / module).write_text(mutant[1], encoding="utf-8")
            return passes(checkout, tests, limit)
        finally:
            (checkout / module).write_text(source, encoding="utf-8")
            free.put(checkout)

    made = mutants(source, seed, count)
    with ThreadPoolExecutor(len(copies)) as pool:
        survived = list(pool.map(survives, made))
    for (what, _), alive in zip(made, survived, strict=True):
        if alive:
            print(f"  survives: {module}, {what}", flush=True)
    return survived.count(False), len(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=list(SUBJECTS), help="only this one; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=25, help="mutants of each module")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    enough = True
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder, str(number)) for number in range(options.processes)]
        for checkout in copies:
            checkout.mkdir()
            for part in COPIED:
                of, to = ROOT / part, checkout / part
                shutil.copytree(of, to) if of.is_dir() else shutil.copy(of, to)
        for name in options.module or SUBJECTS:
            killed, total = measure(name, copies, options.seed, options.count)
            enough &= killed >= ENOUGH * total
            print(f"{name}: {killed} of {total} killed ({100 * killed / total:.0f} %), seed {options.seed}", flush=True)
    sys.exit(not enough)


if __name__ == "__main__":
    main()
