"""The official Python SDK against the offline model. Run by python_sdk.rs, which gives the URL."""

import os
import sys

import anthropic
import httpx2

URL = os.environ["OFFLINE_MODEL_URL"]
MODEL = "offline-sdk"
TOOLS = [
    {
        "name": "shell",
        "description": "Runs a command.",
        "input_schema": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "reasoning": {"type": "string"}},
            "required": ["command", "reasoning"],
        },
    },
    {"name": "conclude", "input_schema": {"type": "object", "properties": {}}},
]

client = anthropic.Anthropic(base_url=URL, api_key="any", max_retries=0)


def ask(text, to=client, **more):
    more = {"model": MODEL, "max_tokens": 1024, **more}
    return to.messages.create(messages=[{"role": "user", "content": text}], **more)


def streamed(text, **more):
    more = {"model": MODEL, "max_tokens": 1024, **more}
    with client.messages.stream(messages=[{"role": "user", "content": text}], **more) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_message()


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, but nothing was raised")


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def check_plain():
    message = ask("say hello to Ada")
    assert message.model == MODEL and message.role == "assistant"
    assert text_of(message) == "Hello, Ada. This is a script."
    assert message.stop_reason == "end_turn" and message.stop_sequence is None
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    assert message._request_id.startswith("req_offline_")
    kinds, same = streamed("say hello to Ada")
    assert text_of(same) == text_of(message) and same.id == message.id
    assert same.usage.output_tokens == message.usage.output_tokens
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert kinds.count("text") > 1, "the text has to come in several pieces"


def check_tools():
    messages = [{"role": "user", "content": "diagnose"}]
    with client.messages.stream(model=MODEL, max_tokens=1024, tools=TOOLS, messages=messages) as stream:
        first = stream.get_final_message()
    assert [b.type for b in first.content] == ["thinking", "text"] + ["tool_use"] * 3
    assert first.stop_reason == "tool_use"
    whole = client.messages.create(model=MODEL, max_tokens=1024, tools=TOOLS, messages=messages)
    assert [b.to_dict() for b in whole.content] == [b.to_dict() for b in first.content]
    calls = [b for b in first.content if b.type == "tool_use"]
    assert calls[0].input == {"command": "uptime", "reasoning": "load", "timeout_seconds": 5}
    assert calls[1].input["command"] == "echo 'ä ☃ {{.Names}}'"
    assert len({c.id for c in calls}) == 3

    # The SDK's own way to send an answer back, thinking and signature included.
    messages.append(first.to_param())
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": f"[entry {n}] exit code 0"}
        for n, call in enumerate(calls, start=4)
    ]
    messages.append({"role": "user", "content": results})
    second = client.messages.create(model=MODEL, max_tokens=1024, tools=TOOLS, messages=messages)
    (conclude,) = second.content
    assert conclude.name == "conclude" and conclude.input == {"outcome": "resolved", "evidence": [4]}

    messages[-1] = {"role": "user", "content": results[:2]}
    error = raises(
        anthropic.BadRequestError,
        lambda: client.messages.create(model=MODEL, max_tokens=1024, tools=TOOLS, messages=messages),
    )
    assert calls[2].id in error.api_message and error.type == "invalid_request_error"


def check_count_tokens():
    few = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "a" * 40}])
    assert few.input_tokens == 10
    more = client.messages.count_tokens(
        model=MODEL, system="b" * 400, tools=TOOLS, messages=[{"role": "user", "content": "a" * 40}]
    )
    assert more.input_tokens > few.input_tokens + 100


def check_errors():
    bad = raises(anthropic.BadRequestError, lambda: ask("  "))
    assert bad.status_code == 400 and bad.request_id.startswith("req_offline_")
    missing = raises(anthropic.NotFoundError, lambda: ask("hello", model="offline-nothing"))
    assert "offline-sdk" in missing.api_message
    real = raises(anthropic.NotFoundError, lambda: ask("hello", model="claude-opus-5"))
    assert "offline model" in real.api_message
    limited = raises(anthropic.RateLimitError, lambda: ask("limited"))
    assert limited.type == "rate_limit_error" and limited.api_message == "Slow down."
    assert limited.response.headers["retry-after"] == "0.05"
    broken = raises(anthropic.InternalServerError, lambda: ask("broken"))
    assert broken.status_code == 500 and broken.type == "api_error"
    # The SDK insists on a key of its own, so the empty one goes past it.
    nameless = client.with_options(default_headers={"Authorization": anthropic.Omit(), "X-Api-Key": ""})
    refused = raises(anthropic.AuthenticationError, lambda: ask("hello", to=nameless))
    assert refused.type == "authentication_error"
    with_old_header = anthropic.Anthropic(
        base_url=URL, auth_token="any", max_retries=0, default_headers={"anthropic-version": "2023-06-01"}
    )
    assert text_of(ask("say hello to Ada", to=with_old_header, extra_body={"temperature": 0.5}))
    sampling = raises(anthropic.BadRequestError, lambda: ask("hello", extra_body={"temperature": 0.5}))
    assert sampling.api_message == "temperature: Extra inputs are not permitted"


def check_retries():
    patient = client.with_options(max_retries=2)
    assert text_of(ask("busy", to=patient)) == "At last."


def check_broken_streams():
    error = raises(anthropic.APIStatusError, lambda: streamed("error in the stream"))
    assert error.type == "overloaded_error"
    raises(anthropic.APIConnectionError, lambda: ask("cut"))
    cut = raises(httpx2.TransportError, lambda: streamed("cut"))
    assert "without sending complete message body" in str(cut)
    raises(ValueError, lambda: streamed("broken json", tools=TOOLS))


def check_stop_reasons():
    kinds, message = streamed("refuse")
    assert message.stop_reason == "refusal" and message.content == []
    assert message.stop_details.type == "refusal"
    paused = ask("pause")
    assert paused.stop_reason == "pause_turn"
    question = {"role": "user", "content": "pause"}
    going_on = client.messages.create(model=MODEL, max_tokens=99, messages=[question, paused.to_param()])
    assert text_of(going_on) == "Going on."
    short = ask("say hello to Ada", max_tokens=2)
    assert short.stop_reason == "max_tokens" and text_of(short) == "Hello, A"
    stopped = ask("say hello to Ada", stop_sequences=["This"])
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == "This"


def check_caching():
    system = [{"type": "text", "text": "word " * 1200, "cache_control": {"type": "ephemeral"}}]
    first = ask("say hello to Ada", system=system).usage
    assert first.cache_creation_input_tokens == 1500 and first.cache_read_input_tokens == 0
    assert first.cache_creation.ephemeral_5m_input_tokens == 1500
    second = ask("say hello to Bob", system=system).usage
    assert second.cache_creation_input_tokens == 0 and second.cache_read_input_tokens == 1500


def check_models():
    names = [model.id for model in client.models.list()]
    assert names == ["offline-summary", "offline-auto", "offline-sdk"]
    assert client.models.retrieve("offline-sdk").lifecycle == "active"
    raises(anthropic.NotFoundError, lambda: client.models.retrieve("offline-nothing"))


def check_summary():
    message = ask("\n  redis-cli ping  \nand more", model="offline-summary")
    assert text_of(message) == "redis-cli ping"


def main():
    checks = [(name, check) for name, check in globals().items() if name.startswith("check_")]
    for name, check in checks:
        check()
        print(f"  {name.removeprefix('check_')}: good")
    print(f"  {len(checks)} checks with anthropic {anthropic.__version__}")


if __name__ == "__main__":
    sys.exit(main())
