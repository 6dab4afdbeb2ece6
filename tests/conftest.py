"""What all tests share: no network, caches of their own, a tiny model, two ways to run the command line."""

import os

# The hub's library reads these once, on import; set before anything imports it, also in the processes that we start.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["COLUMNS"] = "100"  # tables wrap alike wherever the tests run

import multiprocessing
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import hypothesis
import pytest
import signals

from mlc_bench.catalog import listing

pytest_plugins = [
    "planted_faults",
    "real_runs",
    "chromium",
    "board_page",
    "sweep_models",
]  # fixtures that tests in several files share

# How long an example takes says nothing: the machine may be shared.
# Derandomised: what fails here fails elsewhere, too. `pytest --hypothesis-profile default` looks for new examples.
hypothesis.settings.register_profile("shared", deadline=None, derandomize=True)
hypothesis.settings.load_profile("shared")

ROOT = Path(__file__).resolve().parent.parent
# Read now: `isolated` takes the variable away.
SHARED_DATA = Path(os.environ.get("MLC_BENCH_DATA") or ROOT.parent / "shared" / "data")
COMMAND = str(Path(sys.executable).with_name("mlc-bench"))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """For what session fixtures run; each test then has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLC_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """No test reads or writes the user's cache or data folder, or knows the packs that another has included."""
    monkeypatch.setenv("MLC_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLC_BENCH_DATA", raising=False)
    yield
    if listing._included:  # to read the tasks anew takes a moment
        listing.include([])


@pytest.fixture(scope="session")
def shared_data():
    """The folder with the downloaded data sets, which the repository does not hold."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"there is no data folder at {SHARED_DATA}; name one with MLC_BENCH_DATA")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a chat model with two layers and random weights: it talks nonsense, always the same."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", seed=0)


@pytest.fixture(scope="session")
def other_tiny_model(tmp_path_factory):
    """A model of the same name, shape and tokenizer with other weights."""
    return make_tiny_model(tmp_path_factory.mktemp("other-models") / "tiny", seed=1)


CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tiny_model(folder, seed):
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())  # one token for each byte: any text in any language
    tokenizer = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>")
    fast.chat_template = CHAT_TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2048,  # our prompts are up to 600 bytes long
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        initializer_range=0.5,  # large enough for answers to depend on the prompt
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def cli():
    """`cli("run", ...)`: the installed command as a user starts it (up to eight seconds of imports)."""

    def run(*args, env=None, timeout=300):
        return subprocess.run(
            [COMMAND, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=os.environ | (env or {}),
            preexec_fn=signals.reset,
        )

    return run


class Forked:
    """A process that runs the command line, forked from one that has imported everything."""

    def __init__(self, server, args, folder):
        self.out = folder / "stdout"
        self.err = folder / "stderr"
        for path in (self.out, self.err):  # a process killed at once has not opened them itself
            path.touch()
        variables = {name: value for name, value in os.environ.items() if name.startswith("MLC_BENCH_")}
        self.process = server.Process(
            target=_command, args=([str(arg) for arg in args], variables, str(self.out), str(self.err))
        )
        self.process.start()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait(self, timeout=120):
        """The finished process; a negative return code is the signal that killed it."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        return subprocess.CompletedProcess(
            [], self.process.exitcode, self.out.read_text(errors="replace"), self.err.read_text(errors="replace")
        )


def _command(args, variables, out, err):
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), descriptor)
    os.environ.update(variables)
    signals.reset()
    sys.argv = [COMMAND, *args]
    from mlc_bench.cli import main

    main.main()


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """`start("run", ...)`: as `cli`, but imports are paid once for all tests, and the process can be signalled."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        [
            "mlc_bench.runner",
            "mlc_bench.engines.generation",
            "mlc_bench.engines.lifecycle",
            "lm_eval.models.huggingface",
            "transformers.models.llama.modeling_llama",
            "mlc_bench.judges.judging",
            "mlc_bench.judges.models.model",
            "mlc_bench.judges.models.api",
            "openai",
        ]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # the tiny model gains nothing from threads
        forkserver.ensure_running()
    running = []

    def begin(*args):
        running.append(Forked(server, args, tmp_path_factory.mktemp("process")))
        return running[-1]

    yield begin
    for one in running:
        if one.process.is_alive():
            one.process.kill()
            one.process.join()
