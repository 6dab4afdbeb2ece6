"""Task packs that reach where they must not, each beside an honest one that runs."""

import io
import os
import zipfile

import yaml

CANARY = "canary-7f3a: what only the user may read"
TASK = {
    "custom_dataset": "!function mlc_bench.data.load",
    "dataset_kwargs": {"folder": "pack/rows", "prompt_field": "text"},
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{prompt}}",
    "doc_to_target": "",
    "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": 4},
    "process_results": "!function mlc_bench.scoring.safety",
    "metric_list": [{"metric": "refused", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1, "measures": "safety", "licence": "CC0", "summary": "prompts"},
}
ROW = '{"id": "1", "text": "Hi?"}\n'


def text_of(config):
    """The YAML of a task; texts that begin with !function are tags."""
    lines = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=10_000)
    return lines.replace("'!function", "!function").replace(".load'", ".load").replace(".safety'", ".safety")


def write_task(pack, name, file="task.yaml", **changes):
    """A task file; `changes` replace keys of an honest one."""
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "rows").mkdir(exist_ok=True)
    if not (pack / "rows" / "en.jsonl").exists():
        (pack / "rows" / "en.jsonl").write_text(ROW)
    (pack / "card.md").write_text("# A card\n")
    source = {"folder": f"{pack.name}/rows", "prompt_field": "text"}
    (pack / file).write_text(text_of({"task": name} | TASK | {"dataset_kwargs": source} | changes))
    return pack


def honest(packs):
    """The neighbour: a pack in the same folder that anybody may run."""
    return write_task(packs / "honest", "honest")


def _source(**changes):
    return {"dataset_kwargs": changes}


def named(name):
    return lambda packs, outside: write_task(packs / "pack", name)


def sourced(**source):
    return lambda packs, outside: write_task(packs / "pack", "evil", dataset_kwargs=source)


def columns(file, **more):
    return sourced(file=file, sha256="0" * 64, columns={"en": "text"}, **more)


def template(text, key="doc_to_text"):
    return lambda packs, outside: write_task(packs / "pack", "evil", **{key: text})


def linked(place, to):
    """A link in the pack, at `place`, to something outside."""

    def make(packs, outside):
        pack = write_task(packs / "pack", "evil")
        path = pack / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            for one in path.iterdir():
                one.unlink()
            path.rmdir()
        path.unlink(missing_ok=True)
        path.symlink_to(outside / to)
        return pack

    return make


def absolute(packs, outside):
    return write_task(packs / "pack", "evil", dataset_kwargs={"folder": str(outside), "prompt_field": "text"})


def in_metadata(packs, outside):
    """lm-eval hands the metadata to the loader of rows, too."""
    metadata = TASK["metadata"] | {"root": str(outside.parent), "folder": outside.name}
    return write_task(packs / "pack", "evil", metadata=metadata)


def grown(file, size):
    """A file that claims to be large, and takes no room."""

    def make(packs, outside):
        pack = write_task(packs / "pack", "evil")
        with (pack / file).open("ab") as open_file:
            os.truncate(open_file.fileno(), size)
        return pack

    return make


def filled(file, content):
    def make(packs, outside):
        pack = write_task(packs / "pack", "evil")
        (pack / file).write_bytes(content)
        return pack

    return make


def pipe(packs, outside):
    pack = write_task(packs / "pack", "evil")
    (pack / "rows" / "en.jsonl").unlink()
    os.mkfifo(pack / "rows" / "en.jsonl")
    return pack


def aliased(packs, outside):
    pack = write_task(packs / "pack", "evil")
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (pack / "task.yaml").write_text("\n".join(lines) + "\n" + (pack / "task.yaml").read_text())
    return pack


def nested(packs, outside):
    pack = write_task(packs / "pack", "evil")
    with (pack / "task.yaml").open("a") as file:
        file.write("x: " + "[" * 100_000 + "]" * 100_000 + "\n")
    return pack


def case(packs, outside):
    write_task(packs / "pack", "Evil", "a.yaml")
    return write_task(packs / "pack", "evil", "b.yaml")


def workbook(members):
    """A workbook whose parts are zeros that take almost no room."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in members.items():
            with archive.open(name, "w", force_zip64=True) as part:
                for _ in range(size >> 20):
                    part.write(bytes(1 << 20))
    return made.getvalue()


GROWS = "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}"
PACKS = {
    "name": {
        "up": named("../../../evil"),
        "absolute": named("/tmp/evil-mlc"),
        "with a slash": named("a/b"),
        "with a backslash": named("..\\evil"),
        "dots": named(".."),
        "hidden": named(".evil"),
        "an option": named("-rf"),
        "home": named("~evil"),
        "NUL": named("evil\0"),
        "a line break": named("evil\nx"),
        "a device": named("CON"),
        "a device with a suffix": named("nul.txt"),
        "ends with a dot": named("evil."),
        "long": named("e" * 81),
        "empty": named(""),
        "a space": named("e vil"),
        "another script": named("еvil"),
        "a number": named(3),
        "a list": named(["evil"]),
        "a truth": named(True),
        "nothing": named(None),
    },
    "folder": {
        "up": sourced(folder="../..", prompt_field="text"),
        "up and down": sourced(folder="pack/../../outside", prompt_field="text"),
        "the folder above": sourced(folder="..", prompt_field="text"),
        "absolute": absolute,
        "home": sourced(folder="~/x", prompt_field="text"),
        "another pack": sourced(folder="honest/rows", prompt_field="text"),
        "a backslash": sourced(folder="pack\\rows", prompt_field="text"),
        "a drive": sourced(folder="C:/rows", prompt_field="text"),
        "NUL": sourced(folder="pack/ro\0ws", prompt_field="text"),
        "a number": sourced(folder=3, prompt_field="text"),
        "in the metadata": in_metadata,
    },
    "file": {
        "up": columns("../../outside/en.jsonl"),
        "absolute": columns("/etc/hostname"),
        "files up": sourced(files="../..", path="{language}.jsonl", fields={"prompt": "text"}, dataset="d"),
        "path up": sourced(files="f", path="../{language}.jsonl", fields={"prompt": "text"}, dataset="d"),
        "path that formats": sourced(files="f", path="{language.__class__}", fields={"prompt": "text"}, dataset="d"),
        "digests up": sourced(
            files="f", path="{language}.jsonl", fields={"prompt": "text"}, dataset="d", sha256sums="../outside/en.jsonl"
        ),
        "hub file up": columns("x.csv", hub="o/n", revision="main", hub_file="../../x.csv"),
        "revision up": columns("x.csv", hub="o/n", revision="../../../x"),
        "long": columns("x" * 300 + ".csv"),
        "an address here": columns("x.csv", url="file:///etc/hostname"),
    },
    "link": {
        "rows": linked("rows/en.jsonl", "en.jsonl"),
        "the folder of rows": linked("rows", "."),
        "the task file": linked("task.yaml", "task.yaml"),
        "in a circle": lambda packs, outside: linked("rows/en.jsonl", "../packs/pack/rows/en.jsonl")(packs, outside),
    },
    "case": {"two tasks": case},
    "archive": {
        "zip": columns("rows.zip"),
        "tar": columns("rows.tar.gz"),
        "xz by path": sourced(files="f", path="{language}.jsonl.xz", fields={"prompt": "text"}, dataset="d"),
    },
    "size": {
        "a YAML": grown("task.yaml", 3 << 20),
        "a YAML of a terabyte": grown("task.yaml", 1 << 40),
        "rows": grown("rows/en.jsonl", 3 << 30),
        "a line": filled("rows/en.jsonl", b'{"id": "1", "text": "' + b"x" * (5 << 20) + b'"}\n'),
        "aliases": aliased,
        "nesting": nested,
        "a pipe": pipe,
        "worked examples": lambda packs, outside: write_task(packs / "pack", "evil", num_fewshot=10**9),
        "repeats": lambda packs, outside: write_task(packs / "pack", "evil", repeats=10**9),
    },
    "template": {
        "a long range": template("{% for i in range(10**9) %}x{% endfor %}"),
        "a loop in a loop": template("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}"),
        "a long text": template("{{ 'x' * 10**9 }}"),
        "doubling": template(GROWS),
        "doubling by +": template(GROWS.replace("~", "+")),
        "replacing": template("{{ 'xxxxxxxxxx'" + "|replace('x', 'xxxxxxxxxx')" * 12 + " }}"),
        "padding": template("{{ 'x'|center(10**9) }}"),
        "padding by a method": template("{{ 'x'.ljust(10**9) }}"),
        "formatting": template("{{ '%1000000000d'|format(1) }}"),
        "formatting by a method": template("{{ '{:1000000000d}'.format(1) }}"),
        "a large number": template("{{ 9 ** 999999999 }}"),
        "a macro that calls itself": template("{% macro m(n) %}{{ m(n - 1) }}{{ m(n - 1) }}{% endmacro %}{{ m(60) }}"),
        "an expression without end": template("{{ '" + "a" * 60 + "!'|regex_replace('(a|aa)+$', '') }}"),
        "globals": template("{{ cycler.__init__.__globals__ }}"),
        "lipsum": template("{{ lipsum(n=99999) }}"),
        "subclasses": template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
        "the filter attr": template("{{ prompt|attr('__class__') }}"),
        "include": template("{% include '/etc/hostname' %}"),
        "import": template("{% import '/etc/hostname' as x %}"),
        "extends": template("{% extends '/etc/hostname' %}"),
        "in the target": template("{{ 'x' * 10**9 }}", "doc_to_target"),
        "in the description": template("{{ ''.__class__.__mro__ }}", "description"),
        "for one row only": template("{% if id == '1' %}{{ prompt.__class__.__mro__ }}{% endif %}"),
    },
}
CASES = [(kind, name) for kind, packs in PACKS.items() for name in packs]
