"""OpenAI's embeddings, server side (API reference, embeddings/create). Token arrays are refused: text has a label."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from isthmus.errors import InvalidRequest
from isthmus.labels import PUBLIC, Label
from isthmus.messages import EmbedRequest, Text
from isthmus.principals import Principal

if TYPE_CHECKING:
    from isthmus.seams import Embeddings


class _Extra(Struct, forbid_unknown_fields=True):
    purpose: Annotated[str, Meta(max_length=128)] = ""
    label: object = None
    kind: Literal["query", "passage"] = "passage"


class _Embed(Struct):
    model: str
    input: str | list[str]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    isthmus: _Extra | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class EmbedAsked:
    request: EmbedRequest
    base64: bool


_decoder = msgspec.json.Decoder(_Embed)
MOST_INPUTS = 2048  # OpenAI's own bound on the array


def decode(body: bytes, id: str, principal: Principal, typed: Callable[[str], Label]) -> EmbedAsked:
    """The request in ``body``. Raises :class:`InvalidRequest`, saying where."""
    try:
        embed = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The request is not an embeddings request: {error}.") from error
    inputs = [embed.input] if isinstance(embed.input, str) else embed.input
    if not 1 <= len(inputs) <= MOST_INPUTS:
        raise InvalidRequest(f"input must hold 1 to {MOST_INPUTS} texts.")
    if embed.dimensions is not None:
        raise InvalidRequest("dimensions cannot be chosen: the model has its own.")
    extra = _Extra() if isinstance(embed.isthmus, UnsetType) else embed.isthmus
    label = typed(extra.purpose).join(PUBLIC if extra.label is None else Label.parse(extra.label))
    texts = tuple(Text(text, label) for text in inputs)
    request = EmbedRequest(id, principal, embed.model, texts, extra.purpose, label, extra.kind)
    return EmbedAsked(request, embed.encoding_format == "base64")


def encode(asked: EmbedAsked, embeddings: Embeddings, isthmus: Mapping[str, object]) -> bytes:
    """OpenAI's list of embeddings; base64 is of little-endian float32."""
    rows = embeddings.vectors.astype("<f4", copy=False)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.tobytes()).decode() if asked.base64 else row.tolist(),
        }
        for index, row in enumerate(rows)
    ]
    tokens = {"prompt_tokens": embeddings.tokens, "total_tokens": embeddings.tokens}
    return msgspec.json.encode(
        {"object": "list", "model": asked.request.model, "data": data, "usage": tokens, "isthmus": isthmus}
    )
