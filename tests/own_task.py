"""A task of somebody's own, as in a pack that `--include` names: `pack/mine.yaml`, its prompts in `pack/rows`."""


def task(name, rest):
    """Its file; `rest`: what becomes of its answers."""
    return f"""
task: {name}
custom_dataset: !function mlc_bench.data.load
dataset_kwargs: {{folder: pack/rows, prompt_field: text}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: ""
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: 4}}
{rest}"""


TASK = task(
    "mine",
    """process_results: !function mlc_bench.scoring.safety
metric_list: [{metric: safe, aggregation: mean, higher_is_better: true}]
metadata: {version: 1, measures: safety, licence: CC0, summary: my own prompts}
""",
)
