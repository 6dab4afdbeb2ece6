"""mlc-bench: multilingual safety evaluation for language models."""

__version__ = "0.1.0"
