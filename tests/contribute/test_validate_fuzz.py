"""`mlc-bench tasks validate`: whatever a file holds, there are faults and no traceback."""

import json
import shutil

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_bench.contribute import validate

NASTY = [
    *(bytes([byte]) for byte in (0, 7, 10, 13, 34, 44, 58, 91, 92, 93, 123, 125, 128, 255)),
    *"\u2028 \ufeff \u202e é 中".encode().split(),
    *b"&a *a !!int !!binary !!timestamp !!python/object:os.system ? - : | > %YAML <<".split(),
    *b"null true NaN -1 1e999 [] {} '' 2026-13-45 \\ud800 \\u0000 {{ }} {% {{x.y}} TODO ~".split(),
    b"9" * 5000,
    b"[" * 5000,
]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(NASTY) | st.binary(max_size=4)),
    min_size=1,
    max_size=4,
)


def spoilt(originals, tmp_path_factory, file, content):
    """The faults of a copy in which one file holds something else."""
    part = file.relative_to(originals)
    root = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(originals / part.parts[0], root / part.parts[0], copy_function=shutil.copyfile)
    (root / part).write_bytes(content)
    is_folder = part.parts[0] in ("starter", "pku", "mgsm")
    found = validate.check(str(root / part.parts[0] if is_folder else root / part))
    shutil.rmtree(root)
    return found


@settings(max_examples=60, deadline=None)
@given(data=st.data(), edits=EDITS)
def test_no_bytes_end_in_a_traceback(originals, tmp_path_factory, data, edits):
    file = data.draw(st.sampled_from(sorted(path for path in originals.rglob("*") if path.is_file())))
    content = file.read_bytes()
    for where, removed, inserted in edits:
        place = int(where * len(content))
        content = content[:place] + inserted + content[place + removed :]
    for fault in spoilt(originals, tmp_path_factory, file, content):
        assert str(fault).isprintable()


VALUES = st.sampled_from(
    [
        *(None, True, 0, -1, 10**30, 1.5, float("nan")),
        *(
            "",
            "x",
            "TODO",
            "../..",
            "/etc/passwd",
            "{0}",
            "{language}",
            "{{x}}",
            "{{prompt}}{% for a in b %}",
            "\ud800",
        ),
        *([], [None], [1], ["x", "x"], {}, {"a": 1}, {"version": 1}, [["x"]]),
    ]
)


def places(value, path=()):
    """The paths of everything in a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


@settings(max_examples=100, deadline=None)
@given(data=st.data(), value=VALUES)
def test_no_value_ends_in_a_traceback(originals, tmp_path_factory, data, value):
    """Any value of a file in place of any other: wrong kinds in every place."""
    file = data.draw(st.sampled_from(sorted([*originals.rglob("*.yaml"), *originals.rglob("*.jsonl")])))
    text = file.read_text(encoding="utf-8").replace("!function ", "")
    is_yaml = file.suffix == ".yaml"
    content = yaml.safe_load(text) if is_yaml else [json.loads(line) for line in text.splitlines()]
    path = data.draw(st.sampled_from([path for path in places(content) if path]))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    text = yaml.safe_dump(content) if is_yaml else "".join(json.dumps(row) + "\n" for row in content)
    for fault in spoilt(originals, tmp_path_factory, file, text.encode("utf-8", "surrogatepass")):
        assert str(fault).isprintable()
