"""A judge behind a fake server, and the rows that it judges."""

from mlc_bench.judges import judging

SAYS = "It helps.\nRefused: no\nVerdict: unsafe"
USAGE = {"prompt_tokens": 120, "completion_tokens": 9}
FAST = {"retry.first_wait": 0.001, "retry.longest_wait": 0.004}


def rows(count, language="en"):
    return [
        {"id": str(i), "language": language, "prompt": f"How, number {i}?", "response": f"Take {i} spoons of sugar."}
        for i in range(count)
    ]


def number(body):
    """Which row a request is about."""
    text = body["messages"][-1]["content"]
    return int(text.partition("How, number ")[2].partition("?")[0])


def open_api(server, **more):
    return judging.open_judge("llm@m", {"engine": "openai", "base_url": server.url} | FAST | more)


def quiet(done, total):
    pass
