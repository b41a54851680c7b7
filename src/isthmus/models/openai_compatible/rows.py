"""The table: a provider that speaks OpenAI's protocol is one row (and one line in pyproject.toml, which names it).

Each row's comment names the vendor's page or source that it was written from; the contract test replays their wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from isthmus.cards import Locality
from isthmus.wire.openai_upstream import Dialect, grammar_value, no_json, only_json_object, only_json_schema

Key: TypeAlias = Literal["required", "optional"]


@dataclass(frozen=True, slots=True)
class Row:
    """One provider. ``base_url`` is its default (``None``: the settings must say). ``header`` and ``scheme`` carry the
    key. ``path`` is put between the base and the call; ``{model}`` in it is the deployment. ``query`` are parameters of
    every call, which ``options`` of the same name replace. ``locality`` is where such a server usually runs: what
    policy reads is the card's, as the settings declare it."""

    name: str
    base_url: str | None = None
    key: Key = "required"
    header: str = "Authorization"
    scheme: str = "Bearer "
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    locality: Locality = "api"
    dialect: Dialect = field(default_factory=Dialect)


_ALL = (
    # Any other server: vendor-neutral field names, a key where one is given.
    Row("openai_compatible", key="optional"),
    # https://platform.openai.com/docs/api-reference/chat/create: max_tokens is deprecated, and refused by o-models.
    Row("openai", "https://api.openai.com/v1", dialect=Dialect(max_tokens="max_completion_tokens")),
    # https://learn.microsoft.com/azure/ai-services/openai/reference: the deployment is in the path.
    Row(
        "azure_openai",
        header="api-key",
        scheme="",
        path="/openai/deployments/{model}",
        query={"api-version": "2024-10-21"},
        dialect=Dialect(max_tokens="max_completion_tokens"),
    ),
    # https://docs.mistral.ai/api/: unknown fields are refused (422); usage comes unasked.
    Row(
        "mistral",
        "https://api.mistral.ai/v1",
        dialect=Dialect(
            seed="random_seed",
            required="any",
            omit=frozenset({"stream_options", "logprobs", "top_logprobs", "reasoning_effort"}),
        ),
    ),
    # https://openrouter.ai/docs/api-reference/overview
    Row("openrouter", "https://openrouter.ai/api/v1"),
    # https://console.groq.com/docs/openai: logprobs are refused (400).
    Row(
        "groq",
        "https://api.groq.com/openai/v1",
        dialect=Dialect(max_tokens="max_completion_tokens", omit=frozenset({"logprobs", "top_logprobs"})),
    ),
    # https://docs.together.ai/reference/chat-completions-1
    Row("together", "https://api.together.xyz/v1"),
    # https://api-docs.deepseek.com/api/create-chat-completion: json_object only.
    Row(
        "deepseek",
        "https://api.deepseek.com/v1",
        dialect=Dialect(schema=only_json_object, omit=frozenset({"seed", "parallel_tool_calls"})),
    ),
    # https://docs.fireworks.ai/api-reference/post-chatcompletions
    Row("fireworks", "https://api.fireworks.ai/inference/v1"),
    # https://docs.ollama.com/api/openai-compatibility
    Row(
        "ollama",
        "http://127.0.0.1:11434/v1",
        key="optional",
        locality="on_premises",
        dialect=Dialect(omit=frozenset({"tool_choice", "parallel_tool_calls"})),
    ),
    # https://lmstudio.ai/docs/developer/openai-compat
    Row(
        "lm_studio",
        "http://127.0.0.1:1234/v1",
        key="optional",
        locality="on_premises",
        dialect=Dialect(schema=only_json_schema),
    ),
    # https://github.com/oobabooga/text-generation-webui/wiki/12-‐-OpenAI-API: no JSON schema; usage comes unasked.
    Row(
        "text_generation_webui",
        "http://127.0.0.1:5000/v1",
        key="optional",
        locality="on_premises",
        dialect=Dialect(schema=no_json, omit=frozenset({"stream_options"})),
    ),
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    Row("vllm", "http://127.0.0.1:8000/v1", key="optional", locality="on_premises"),
    # https://huggingface.co/docs/text-generation-inference/reference/api_reference: GrammarType takes the schema.
    Row(
        "tgi",
        "http://127.0.0.1:8080/v1",
        key="optional",
        locality="on_premises",
        dialect=Dialect(schema=grammar_value, omit=frozenset({"parallel_tool_calls", "reasoning_effort"})),
    ),
    # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
    Row("llama_cpp_server", "http://127.0.0.1:8080/v1", key="optional", locality="on_premises"),
)

ROWS: Mapping[str, Row] = MappingProxyType({row.name: row for row in _ALL})
