"""OpenAI's embeddings, client side (API reference, embeddings/create)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from isthmus.errors import UpstreamFailed
from isthmus.wire.openai_upstream_chunk import Counted


def encode_embeddings(texts: Sequence[str], model: str) -> bytes:
    """The body of ``POST /embeddings``."""
    return msgspec.json.encode({"model": model, "input": texts, "encoding_format": "float"})


class _Vector(Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(Struct):
    data: list[_Vector]
    usage: Counted | None = None


def decode_embeddings(body: bytes) -> tuple[list[list[float]], int]:
    """The vectors in the order of the texts, and the tokens read (0 where the vendor does not say).

    Raises :class:`UpstreamFailed` for what is not a list of embeddings.
    """
    try:
        vectors = msgspec.json.decode(body, type=_Vectors)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamFailed("The model's server sent something that is not a list of embeddings.") from None
    rows = sorted(vectors.data, key=lambda vector: vector.index)
    return [row.embedding for row in rows], (vectors.usage and vectors.usage.prompt_tokens) or 0
