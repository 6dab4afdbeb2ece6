"""Demo models from packages: only the right bytes are converted, once, and never half."""

import hashlib
import json
import threading

import pytest

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.engines import demo_models, packaged_file
from mlc_bench.engines.demo_models import Demo
from mlc_bench.engines.packaged_file import PackagedFile

PARTS = [b"first part, ", b"second part, ", b"third"]
WHOLE = b"".join(PARTS)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Three installed packages with a part each, whose code must not run; their folder."""
    site = tmp_path / "site"
    for number, part in enumerate(PARTS, 1):
        name = f"made_up_part{number}"
        (site / name / "data").mkdir(parents=True)
        (site / name / "__init__.py").write_text("raise SystemExit('the code of a package was run')")
        (site / name / "data" / f"part{number:02}.bin").write_bytes(part)
        (site / name / "data" / "notes.txt").write_text("not a part")
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-up-part{number}\nVersion: 1.0\n")
        files = ("__init__.py", f"data/part{number:02}.bin", "data/notes.txt")
        (info / "RECORD").write_text("".join(f"{name}/{file},,\n" for file in files))
    lists = tmp_path / "lists"
    lists.mkdir()
    lines = [f"made-up-part{number}==1.0 --hash=sha256:{'0' * 64}\n" for number in (1, 2, 3)]
    (lists / "made-up.txt").write_text("# a comment\n" + "".join(lines))
    monkeypatch.setattr(packaged_file, "_LISTS", lists)
    monkeypatch.syspath_prepend(str(site))
    return site


@pytest.fixture
def made_up(packages, monkeypatch):
    """The model 'made-up', whose conversion is a copy."""
    file = PackagedFile("made-up.txt", "part*.bin", len(WHOLE), hashlib.sha256(WHOLE).hexdigest())
    monkeypatch.setitem(demo_models.MODELS, "made-up", Demo("Made up (q4, dequantised)", "Made-up", file, "q4"))
    monkeypatch.setattr(demo_models, "_convert", copy)
    return demo_models.MODELS["made-up"]


def copy(gguf, target, demo):
    target.mkdir()
    (target / "weights").write_bytes(gguf.read_bytes())
    source = {"name": demo.name, "sha256": demo.gguf.sha256, "quantization": demo.quantization}
    (target / demo_models.SOURCE).write_text(json.dumps(source))


def refused(*words):
    """The model is not made, in one line, and the cache is as it was; that line."""
    with pytest.raises(PrerequisiteError) as error:
        demo_models.folder("made-up")
    line = str(error.value)
    assert "\n" not in line
    assert all(word in line for word in words), line
    left = demo_models.MODELS["made-up"].target.parent
    assert [path.name for path in left.glob("*")] in ([], [".Made-up.lock"])
    return line


def test_the_parts_are_joined_in_order_and_converted_once(made_up, monkeypatch, capsys):
    folder = demo_models.folder("made-up")
    assert (folder / "weights").read_bytes() == WHOLE
    assert demo_models.source(folder)["name"] == "Made up (q4, dequantised)"
    assert "converting" in capsys.readouterr().err
    monkeypatch.setattr(demo_models, "_convert", None)
    assert demo_models.folder("made-up") == folder
    assert sorted(path.name for path in folder.parent.iterdir()) == [".Made-up.lock", "Made-up"]


@pytest.mark.parametrize("place", range(len(WHOLE)))
def test_one_byte_changed(made_up, packages, place):
    number = next(n for n in (1, 2, 3) if place < sum(map(len, PARTS[:n])))
    path = packages / f"made_up_part{number}" / "data" / f"part{number:02}.bin"
    content = bytearray(path.read_bytes())
    content[place - sum(map(len, PARTS[: number - 1]))] ^= 1
    path.write_bytes(bytes(content))
    refused("other weights", "--force-reinstall", "made-up.txt")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_cut_or_gone(made_up, packages, number):
    path = packages / f"made_up_part{number}" / "data" / f"part{number:02}.bin"
    path.write_bytes(path.read_bytes()[:-1])
    refused(f"{len(WHOLE) - 1} bytes", "cut", "--force-reinstall")
    path.unlink()
    refused(f"part{number:02}.bin is missing", "--force-reinstall")


def test_a_package_absent_or_of_another_version(made_up, packages):
    info = packages / "made_up_part2-1.0.dist-info"
    metadata = (info / "METADATA").read_text()
    (info / "METADATA").write_text(metadata.replace("Version: 1.0", "Version: 1.1"))
    assert not demo_models.is_installed("made-up")
    line = refused("'made-up' is not installed", "--require-hashes", "--no-deps --only-binary :all:")
    assert "force" not in line
    info.rename(packages / "elsewhere")
    refused("'made-up' is not installed")


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        RuntimeError("No space left on device"),
    ],
)
def test_a_full_disk(made_up, monkeypatch, error):
    def fill(gguf, target, demo):
        copy(gguf, target, demo)
        raise error

    monkeypatch.setattr(demo_models, "_convert", fill)
    refused("is full", "MLC_BENCH_CACHE")


def test_a_defect_keeps_its_own_error_and_leaves_nothing(made_up, monkeypatch):
    monkeypatch.setattr(demo_models, "_convert", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        demo_models.folder("made-up")
    assert [path.name for path in made_up.target.parent.iterdir()] == [".Made-up.lock"]


def test_two_at_once(made_up, monkeypatch):
    calls = []

    def slowly(*arguments):
        calls.append(arguments)
        assert len(calls) == 1
        waiting.wait(5)
        copy(*arguments)

    waiting = threading.Event()
    monkeypatch.setattr(demo_models, "_convert", slowly)
    found = []
    threads = [threading.Thread(target=lambda: found.append(demo_models.folder("made-up"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.set()
    for thread in threads:
        thread.join()
    assert found == [made_up.target] * 3
    assert (made_up.target / "weights").read_bytes() == WHOLE


def test_what_a_killed_conversion_left_and_another_file_are_replaced(made_up):
    half = made_up.target.with_name(".Made-up.part")
    (half / "checkpoint").mkdir(parents=True)
    made_up.target.mkdir()
    (made_up.target / "weights").write_bytes(b"of an older version")
    assert (demo_models.folder("made-up") / "weights").read_bytes() == WHOLE
    assert not half.exists()


@pytest.mark.parametrize("which", demo_models.MODELS)
def test_each_package_is_pinned_by_version_and_hash(which):
    text = (packaged_file._LISTS / f"{which}.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        requirement, hashed = line.split()
        assert requirement.count("==") == 1
        assert len(hashed.removeprefix("--hash=sha256:")) == 64
