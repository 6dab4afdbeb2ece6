"""The name that task files use for the loader of rows: `custom_dataset: !function mlc_bench.data.load`."""

from mlc_bench.catalog.data import load as load
