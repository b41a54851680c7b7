"""The adapter's own parts: endpoints, dialects, the decoder, failures, the embedder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.openai_compatible_fixtures import ANNA, KEY, NoClock, ask, complete, model_of, provider, settings
from contract.replay import Reply, events, replaying, whole
from contract.wires import CALLS, LAST, chunk, counted
from isthmus.cards import Card
from isthmus.config import Home
from isthmus.errors import ConfigInvalid, InvalidRequest, RequestTooLarge, UpstreamFailed
from isthmus.labels import INTERNAL
from isthmus.messages import EmbedRequest, JsonFormat, ReasoningDelta, Sampling, Text, TextDelta, fold
from isthmus.models.openai_compatible.embed import BATCH
from isthmus.models.openai_compatible.provider import OpenAICompatible
from isthmus.models.openai_compatible.rows import ROWS, Row
from isthmus.models.provider import ProviderContext, load
from isthmus.models.transport import AiohttpTransport
from isthmus.seams import ChatModel
from isthmus.wire.openai_upstream import encode_chat, estimate_tokens
from isthmus.wire.openai_upstream_answer import AnswerDecoder


def decode(*payloads: object, model: str = "m") -> Any:
    decoder = AnswerDecoder(model, 10)
    came = [event for payload in payloads for event in decoder.feed(json.dumps(payload).encode())]
    return fold([*came, *decoder.end()])


def call(index: int | None, arguments: str, id: str | None = None, name: str | None = None) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": arguments} | ({"name": name} if name else {})
    plain: dict[str, Any] = {"function": function} | ({"id": id} if id else {})
    return plain if index is None else {"index": index, **plain}


# ---------------------------------------------------------------- the decoder


def test_interleaved_calls_are_kept_apart() -> None:
    answer = decode(
        chunk({"tool_calls": [call(0, "", "a", "one"), call(1, "", "b", "two")]}),
        chunk({"tool_calls": [call(1, "{2"), call(0, "{1")]}),
        chunk({"tool_calls": [call(0, "}"), call(1, "}")]}),
        chunk({}, "tool_calls"),
    )
    assert [(c.id, c.name, c.arguments) for c in answer.tool_calls] == [("a", "one", "{1}"), ("b", "two", "{2}")]


def test_ids_that_change_within_a_call_do_not_split_it() -> None:
    """Older vLLM drew a new id for every delta; only the first has a name."""
    answer = decode(
        chunk({"tool_calls": [call(0, '{"a"', "x1", "one")]}), chunk({"tool_calls": [call(0, ":1}", "x2")]}), LAST
    )
    assert [(c.id, c.name, c.arguments) for c in answer.tool_calls] == [("x1", "one", '{"a":1}')]


def test_a_name_repeated_in_every_delta_is_one_call() -> None:
    """TGI repeats id and name."""
    deltas = [chunk({"tool_calls": call(0, piece, "0", "one")}) for piece in ("{", "}")]
    assert [(c.name, c.arguments) for c in decode(*deltas, LAST).tool_calls] == [("one", "{}")]


def test_calls_without_ids_get_different_ones() -> None:
    answer = decode(chunk({"tool_calls": [call(0, "{}", name="one"), call(1, "{}", name="two")]}), LAST)
    assert len({c.id for c in answer.tool_calls}) == 2


def test_arguments_sent_as_an_object_become_json_text() -> None:
    function = {"name": "weather", "arguments": {"city": "Bern"}}
    answer = decode(chunk({"tool_calls": [{"index": 0, "id": "a", "function": function}]}), LAST)
    assert json.loads(answer.tool_calls[0].arguments) == json.loads(CALLS[0][1])


def test_a_forced_call_that_ends_with_stop_is_a_call() -> None:
    assert decode(chunk({"tool_calls": [call(0, "{}", "a", "one")]}, "stop")).finish == "tool_calls"


def test_content_in_parts() -> None:
    """Mistral's reasoning models."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    answer = decode(chunk({"content": [thinking, {"type": "text", "text": "Yes."}]}), LAST)
    assert (answer.reasoning, answer.text) == ("Hm.", "Yes.")


def test_refusals_and_logprobs() -> None:
    logprob = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    with_logprobs = chunk({"content": "Hi"}, choice={"logprobs": {"content": [logprob], "refusal": None}})
    answer = decode(with_logprobs, chunk({"refusal": "I cannot."}), LAST)
    assert (answer.text, answer.refusal, answer.logprobs, answer.finish) == ("Hi", "I cannot.", (logprob,), "stop")


def test_other_choices_are_not_mixed_in() -> None:
    assert decode(chunk({"content": "a"}), chunk({"content": "b"}, choice={"index": 1}), LAST).text == "a"


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", "stop"), ("eos", "stop"), ("end_turn", "stop"), ("length", "length"), ("max_tokens", "length"),
        ("model_length", "length"), ("function_call", "tool_calls"), ("content_filter", "content_filter"),
    ],
)  # fmt: skip
def test_finish_words(word: str, finish: str) -> None:
    assert decode(chunk({}, word)).finish == finish


@pytest.mark.parametrize("word", ["error", "abort", "insufficient_system_resource"])
def test_words_for_the_vendors_own_failure(word: str) -> None:
    with pytest.raises(UpstreamFailed):
        decode(chunk({}, word))


def test_the_last_usage_counts_and_its_parts_stay_within_it() -> None:
    """vLLM's continuous usage grows with every chunk; nonsense cannot make a price negative."""
    nonsense = counted(12, 5, prompt_tokens_details={"cached_tokens": 99}, completion_tokens_details=None)
    usage = decode(chunk({"content": "a"}, usage=counted(12, 1)), {**LAST, "usage": nonsense}).usage
    assert (usage.prompt, usage.completion, usage.cached, usage.estimated) == (12, 5, 12, False)
    assert decode({**LAST, "usage": counted(-5, -5)}).usage.total == 0


def test_an_estimate_where_nothing_is_counted() -> None:
    usage = decode(chunk({"content": "four words are here"}), LAST).usage
    assert (usage.prompt, usage.completion, usage.estimated) == (10, 5, True)
    assert estimate_tokens(ask("x" * 400)) == 103


# ---------------------------------------------------------------- requests


def body(row: str, **changes: Any) -> dict[str, Any]:
    plain = json.loads(encode_chat(ask(**changes), "m", ROWS[row].dialect))
    assert isinstance(plain, dict)
    return plain


def test_json_without_a_schema() -> None:
    assert body("openai", format=JsonFormat())["response_format"] == {"type": "json_object"}
    assert body("tgi", format=JsonFormat())["response_format"] == {"type": "json_object", "value": {"type": "object"}}
    assert body("lm_studio", format=JsonFormat())["response_format"]["json_schema"]["schema"] == {"type": "object"}
    with pytest.raises(InvalidRequest):
        body("text_generation_webui", format=JsonFormat())


def test_a_schema_that_is_not_insisted_on_becomes_any_json() -> None:
    assert body("deepseek", format=JsonFormat({"type": "object"}, strict=False))["response_format"] == {
        "type": "json_object"
    }
    with pytest.raises(InvalidRequest):
        body("deepseek", format=JsonFormat({"type": "object"}))


def test_tool_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in body("openai", tool_choice="auto")


# ---------------------------------------------------------------- settings and addresses

VENDOR = "https://vendor.example"


def build(row: str, url: str = VENDOR, key: str = KEY, **changes: Any) -> ChatModel:
    context = ProviderContext(Home(Path("nowhere")), AiohttpTransport(), NoClock(), environment={"VENDOR": key})
    return OpenAICompatible(context).chat(settings(row, url, **changes), Card("some/model", row))


async def target(row: str, **changes: Any) -> str:
    async with model_of(row, Reply(pieces=events(LAST)), **changes) as (model, replay):
        await complete(model, ask())
    return replay.received[0].line


async def test_addresses() -> None:
    azure = "POST /openai/deployments/a%2Fb%3Fc/chat/completions?api-version={} HTTP/1.1"
    assert await target("azure_openai", model="a/b?c") == azure.format("2024-10-21")
    version = {"api-version": "2026-01-01&x"}
    assert await target("azure_openai", model="a/b?c", options=version) == azure.format("2026-01-01%26x")


async def test_a_base_url_may_end_with_a_slash_and_a_model_defaults_to_its_id() -> None:
    async with replaying(Reply(pieces=events(LAST))) as replay:
        transport = AiohttpTransport()
        plain = settings("vllm", replay.url, base_url=f"{replay.url}/api/", model=None)
        await complete(provider(transport).chat(plain, Card("some/model", "vllm")), ask())
        await transport.close()
    assert replay.received[0].line == "POST /api/chat/completions HTTP/1.1"
    assert replay.received[0].json["model"] == "some/model"


@pytest.mark.parametrize("url", [" ", "ftp://h", "h/v1", "http://", "https://user:word@h/v1", "https://h/v1?key=1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="base_url"):
        build("openai", base_url=url)


def test_what_settings_must_say() -> None:
    with pytest.raises(ConfigInvalid, match="base_url"):
        build("openai_compatible", base_url=None)
    with pytest.raises(ConfigInvalid, match="api_key"):
        build("openai", api_key=None)
    with pytest.raises(ConfigInvalid, match="MISSING"):
        build("ollama", api_key="${MISSING}")
    with pytest.raises(ConfigInvalid, match="temperature"):
        build("openai", options={"temperature": 1})
    build("openai", base_url=None)


async def test_a_key_is_not_needed_where_it_is_optional() -> None:
    async with model_of("ollama", Reply(pieces=events(LAST)), api_key=None) as (model, replay):
        await complete(model, ask())
    assert "authorization" not in replay.received[0].headers


@pytest.mark.parametrize("key", ["two\nlines", "naïve", "tab\there"])
def test_a_key_that_no_header_can_carry_is_not_quoted(key: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build("openai", key=key)
    assert key not in caught.value.message


def test_the_key_has_no_repr() -> None:
    model = build("openai")
    assert KEY not in repr(model) + repr(vars(model))


def test_every_row_is_at_the_providers_door() -> None:
    for row in ROWS:
        assert load(row) is OpenAICompatible


async def test_a_new_provider_is_one_row() -> None:
    rows = {"acme": Row("acme", header="X-Key", scheme="", dialect=replace(ROWS["openai"].dialect, seed="dice"))}
    async with replaying(Reply(pieces=events(LAST))) as replay:
        transport = AiohttpTransport()
        context = ProviderContext(Home(Path("nowhere")), transport, NoClock(), environment={"VENDOR": KEY})
        model = OpenAICompatible(context, rows).chat(settings("acme", replay.url), Card("some/model", "acme"))
        await complete(model, ask(sampling=Sampling(seed=5)))
        await transport.close()
    assert replay.received[0].headers["x-key"] == KEY
    assert replay.received[0].json["dice"] == 5


# ---------------------------------------------------------------- failures


async def test_a_prompt_that_the_vendor_filters_is_answered_with_content_filter() -> None:
    azure = {"error": {"message": "filtered", "code": "content_filter", "status": 400}}
    router = {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "…"}}}
    for reply in (whole(400, azure), whole(403, router), whole(200, azure)):
        async with model_of("openai_compatible", reply) as (model, _):
            answer = await complete(model, ask())
        assert (answer.finish, answer.text, answer.usage.completion) == ("content_filter", "", 0)


async def test_no_credit_is_said() -> None:
    reply = whole(429, {"error": {"message": "quota", "code": "insufficient_quota"}})
    async with model_of("openai", reply) as (model, _):
        with pytest.raises(UpstreamFailed, match="credit"):
            await complete(model, ask())


async def test_the_rejected_field_is_named_only_if_it_is_ours() -> None:
    for param, named in (("temperature", True), ("secret prompt", False), ("user", False)):
        reply = whole(400, {"error": {"message": "no", "param": param}})
        async with model_of("openai", reply) as (model, _):
            with pytest.raises(InvalidRequest) as caught:
                await complete(model, ask(sampling=Sampling(temperature=1.0)))
        assert (param in caught.value.message) is named


async def test_too_large_and_retry_after_as_a_date() -> None:
    async with model_of("openai", whole(413, {})) as (model, _):
        with pytest.raises(RequestTooLarge):
            await complete(model, ask())
    dates = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2026 07:28:09 GMT"}
    for headers, seconds in ((dates, 9.0), ({"Retry-After": "soon"}, None), ({"Retry-After": "-1"}, None)):
        async with model_of("openai", whole(503, {}, **headers)) as (model, _):
            with pytest.raises(UpstreamFailed) as caught:
                await complete(model, ask())
        assert caught.value.details.get("retry_after") == seconds


# ---------------------------------------------------------------- the embedder


def vectors(*rows: list[float], first: int = 0) -> Reply:
    data = [{"object": "embedding", "index": first + i, "embedding": row} for i, row in enumerate(rows)]
    return whole(200, {"object": "list", "data": data[::-1], "usage": {"prompt_tokens": 7, "total_tokens": 7}})


async def embed(reply: Reply, count: int = 2) -> tuple[Any, Any]:
    texts = tuple(Text(f"text {number}", INTERNAL) for number in range(count))
    async with replaying(reply) as replay:
        transport = AiohttpTransport()
        try:
            plain = settings("openai", replay.url, kind="embedding", options={"dimensions": 2})
            embedder = provider(transport).embedder(plain, Card("e", "openai", "embedding"))
            assert embedder.dimensions == 2
            return await embedder.embed(EmbedRequest("req-canary", ANNA, "e", texts, "canary-purpose")), replay
        finally:
            await transport.close()


async def test_vectors_come_in_the_order_of_the_texts_and_of_unit_length() -> None:
    result, replay = await embed(vectors([3.0, 4.0], [0.0, 2.0]))
    assert result.vectors.dtype == np.float32
    np.testing.assert_allclose(result.vectors, [[0.6, 0.8], [0.0, 1.0]])
    assert result.tokens == 7
    assert replay.received[0].json == {"model": "m", "input": ["text 0", "text 1"], "encoding_format": "float"}
    assert replay.received[0].line == "POST /v1/embeddings HTTP/1.1"
    assert b"canary" not in replay.received[0].body


async def test_many_texts_go_in_batches() -> None:
    result, replay = await embed(vectors(*[[1.0, 0.0]] * BATCH), 2 * BATCH)
    assert result.vectors.shape == (2 * BATCH, 2)
    assert result.tokens == 14
    assert [len(received.json["input"]) for received in replay.received] == [BATCH, BATCH]


async def test_no_texts_cost_no_call() -> None:
    result, replay = await embed(vectors(), 0)
    assert result.vectors.shape == (0, 2)
    assert replay.received == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(vectors([1.0, 0.0]), id="one too few"),
        pytest.param(vectors([1.0], [1.0]), id="too short"),
        pytest.param(vectors([0.0, 0.0], [1.0, 0.0]), id="no direction"),
        pytest.param(vectors([1e999, 0.0], [1.0, 0.0]), id="infinite"),
        pytest.param(whole(200, {"data": "x"}), id="not a list"),
        pytest.param(Reply(500), id="status"),
        pytest.param(Reply(pieces=events(LAST)), id="a stream"),
    ],
)
async def test_vectors_that_are_none(reply: Reply) -> None:
    with pytest.raises(UpstreamFailed):
        await embed(reply)


@pytest.mark.parametrize("wrong", [None, 0, True, "1536", 1.5])
def test_dimensions_must_be_declared(wrong: object) -> None:
    plain = settings("openai", VENDOR, kind="embedding", options={"dimensions": wrong})
    with pytest.raises(ConfigInvalid, match="vectors"):
        provider(AiohttpTransport()).embedder(plain, Card("e", "openai", "embedding"))


def test_deltas_of_nothing_are_no_events() -> None:
    decoder = AnswerDecoder("m", 0)
    came = [*decoder.feed(json.dumps(chunk({"content": "", "reasoning_content": "", "refusal": None})).encode())]
    assert not [event for event in came if isinstance(event, TextDelta | ReasoningDelta)]
