"""The provider behind every row: one class at the providers' door, the row found by the settings' ``provider``.

A plug-in adds a row of its own with an entry point that makes ``OpenAICompatible(context, {"acme": Row("acme", …)})``.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.cards import Card
from isthmus.config import ModelSettings, secret
from isthmus.errors import ConfigInvalid
from isthmus.models.openai_compatible.chat import OpenAICompatibleChat
from isthmus.models.openai_compatible.embed import OpenAICompatibleEmbedder
from isthmus.models.openai_compatible.endpoint import Endpoint
from isthmus.models.openai_compatible.rows import ROWS, Row
from isthmus.models.provider import ProviderContext
from isthmus.seams import ChatModel, Embedder


class OpenAICompatible:
    """Models of servers that speak OpenAI's protocol. It has nothing to start: the transport is the process's."""

    def __init__(self, context: ProviderContext, rows: Mapping[str, Row] = ROWS) -> None:
        self._context = context
        self._rows = rows

    def chat(self, settings: ModelSettings, card: Card) -> ChatModel:
        """Raises :class:`ConfigInvalid` where the settings lack something, or the secret cannot be read."""
        return OpenAICompatibleChat(card, self._endpoint(settings))

    def embedder(self, settings: ModelSettings, card: Card) -> Embedder:
        """As ``chat``; ``options.dimensions`` must say how many numbers a vector has."""
        return OpenAICompatibleEmbedder(card, self._endpoint(settings), _dimensions(settings))

    async def start(self) -> None:
        """Nothing: the first call opens a connection."""

    async def stop(self) -> None:
        """Nothing: whoever made the transport closes it."""

    def _endpoint(self, settings: ModelSettings) -> Endpoint:
        row = self._rows.get(settings.provider)
        if row is None:
            raise ConfigInvalid(f"There is no row for the provider {settings.provider!r}.")
        base_url = settings.base_url or row.base_url
        if base_url is None:
            raise ConfigInvalid(f"The model {settings.id!r} needs a `base_url`.")
        unknown = settings.options.keys() - row.query.keys() - {"dimensions"}
        if unknown:
            raise ConfigInvalid(f"The provider {row.name!r} has no option {min(unknown)!r} (model {settings.id!r}).")
        query = {name: str(settings.options.get(name, value)) for name, value in row.query.items()}
        model = settings.model or settings.id
        return Endpoint(
            row, base_url, model, settings.timeout, self._context.transport, self._key(settings, row), query
        )

    def _key(self, settings: ModelSettings, row: Row) -> str:
        if settings.api_key is not None:
            return secret(settings.api_key, self._context.home, self._context.environment)
        if row.key == "required":
            raise ConfigInvalid(
                f"The model {settings.id!r} needs an `api_key`.",
                hint="Write `api_key: ${NAME}` for an environment variable, or `file:PATH`.",
            )
        return ""


def _dimensions(settings: ModelSettings) -> int:
    value = settings.options.get("dimensions")
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65_536:
        return value
    raise ConfigInvalid(
        f"The embedding model {settings.id!r} must say how many numbers its vectors have.",
        hint="Add `options: {dimensions: 1536}`, with the vendor's number.",
    )
