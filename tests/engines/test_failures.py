"""What the errors of providers mean: their own words, taken from their documentation."""

import pytest

from mlc_bench.engines.servers.endpoint import content_text, reset_after
from mlc_bench.engines.servers.failures import Again, Rejected, Stopped, failure, said

SENT = ["max_tokens", "temperature", "seed", "stop"]

CONTENT = {
    "OpenAI images": (400, {"error": {"message": "rejected by our safety system", "code": "content_policy_violation"}}),
    "OpenAI reasoning": (400, {"error": {"message": "Invalid prompt: it was flagged", "code": "invalid_prompt"}}),
    "Azure": (400, {"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's "
              "content management policy.", "code": "content_filter", "param": "prompt",
              "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    "Azure, inner code alone": (400, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
    "DeepSeek": (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}),
    "DashScope": (400, {"error": {"code": "data_inspection_failed", "message": "Input data is not right"}}),
    "OpenRouter": (403, {"error": {"code": 403, "message": "Input flagged", "metadata": {"reasons": ["violence"]}}}),
    "xAI": (403, {"code": "The caller does not have permission", "error": "Content violates usage guidelines."}),
    "a list": (400, [{"error": {"message": "blocked", "status": "PROHIBITED_CONTENT"}}]),
    "Bedrock": (400, {"message": "a guardrail intervened"}),
    "451": (451, {"error": "unavailable for legal reasons"}),
}  # fmt: skip
LENGTH = {
    "OpenAI": (400, {"error": {"message": "This model's maximum context length is 8192 tokens.", "param": "messages",
               "code": "context_length_exceeded"}}),
    "vLLM": (400, {"object": "error", "message": "'max_tokens' is too large: 256. This model's maximum context length "
             "is 128 tokens and your request has 100 input tokens", "type": "BadRequestError", "param": None}),
    "Anthropic": (400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens"}}),
    "413": (413, "<html><title>Request Entity Too Large</title></html>"),
}  # fmt: skip
STOPPED = {
    "401": (401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, "key"),
    "Gemini's key": (400, [{"error": {"message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], "key"),
    "402": (402, {"error": {"message": "Insufficient Balance"}}, "money"),
    "quota": (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, "money"),
    "Anthropic's credit": (400, {"error": {"message": "Your credit balance is too low"}}, "money"),
    "403": (403, {"error": {"message": "Country, region, or territory not supported"}}, "access"),
    "404": (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, "model"),
    "DeepSeek's model": (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}, "model"),
    "405": (405, {"detail": "Method Not Allowed"}, "address"),
}
PARAMETERS = {
    "OpenAI": (400, {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
               "'max_completion_tokens' instead.", "param": "max_tokens"}}, "max_tokens"),
    "temperature": (400, {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model. "
                    "Only the default (1) value is supported.", "param": "temperature", "code": "unsupported_value"}},
                    "temperature"),
    "FastAPI": (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not "
                "permitted", "input": 1234}]}, "seed"),
    "plain": (400, {"error": "unknown field: seed"}, "seed"),
}  # fmt: skip
AGAIN = {
    "429": (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, "rate-limit"),
    "500": (500, "<html><title>Invalid api key page</title>", "http-500"),
    "503": (503, {"error": {"message": "authentication service is down", "type": "authentication_error"}}, "http-503"),
    "529": (529, {"error": {"type": "overloaded_error"}}, "http-529"),
    "408": (408, None, "http-408"),
}


def found(status, body):
    return failure(status, said(body), "d", SENT)


@pytest.mark.parametrize("case", CONTENT)
def test_a_rejected_prompt(case):
    error = found(*CONTENT[case])
    assert isinstance(error, Rejected)
    assert error.kind == "content"


@pytest.mark.parametrize("case", LENGTH)
def test_a_prompt_that_is_too_long(case):
    error = found(*LENGTH[case])
    assert isinstance(error, Rejected)
    assert error.kind == "length"


@pytest.mark.parametrize("case", STOPPED)
def test_what_no_prompt_gets_past(case):
    *reply, kind = STOPPED[case]
    error = found(*reply)
    assert isinstance(error, Stopped)
    assert (error.kind, error.field) == (kind, None)


@pytest.mark.parametrize("case", PARAMETERS)
def test_a_setting_that_the_server_does_not_take(case):
    *reply, name = PARAMETERS[case]
    error = found(*reply)
    assert isinstance(error, Stopped)
    assert (error.kind, error.field) == ("parameter", name)


@pytest.mark.parametrize("case", AGAIN)
def test_what_another_attempt_may_fix(case):
    *reply, tag = AGAIN[case]
    error = found(*reply)
    assert isinstance(error, Again)
    assert error.tag == tag


def test_a_bad_request_that_says_nothing_is_about_the_prompt():
    error = found(400, {"error": {"message": "Bad Request"}})
    assert isinstance(error, Rejected)
    assert error.kind == "other"


def test_contents_of_every_shape():
    assert content_text(None) == content_text([]) == ""
    assert content_text("a") == "a"
    parts = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}, "b", {"text": "c"}, {"type": "text"}]
    assert content_text(parts) == "abc"
    with pytest.raises(TypeError, match="the content is int"):
        content_text(7)


def test_the_moment_of_a_reset(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    assert reset_after({"x-ratelimit-reset": "1700000030"}) == 30
    assert reset_after({"x-ratelimit-reset": "1700000030000"}) == 30
    assert reset_after({"x-ratelimit-reset": "12"}) == 12
    assert reset_after({"x-ratelimit-reset": "1m"}) == 60
    assert reset_after({"x-ratelimit-reset": "soon"}) == reset_after({}) == 0
