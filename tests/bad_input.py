"""Command lines of small runs, for input that is wrong."""

CLOSED = "http://127.0.0.1:9/v1"  # nothing listens there
SERVER = ["run", "--model", "m", "--engine", "openai", "--base-url", CLOSED]
SMALL = ["--tasks", "starter_harmful", "--languages", "en", "--limit", "2", "--max-tokens", "4"]


def hf(model, output, *more):
    return ["run", "--model", model, "--engine", "hf", *SMALL, "--output", output, *more]
