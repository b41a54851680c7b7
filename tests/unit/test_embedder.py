"""MiniLM: near is near, alone or in company."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from isthmus.cards import Card
from isthmus.config import Settings
from isthmus.errors import DigestMismatch, ModelUnavailable
from isthmus.labels import PUBLIC
from isthmus.messages import EmbedRequest, Text
from isthmus.models.catalogue import cards
from isthmus.models.embedders import DIMENSIONS, MiniLM
from isthmus.models.weights import locate
from isthmus.principals import Principal

WEIGHTS = "starter/minilm"
CARD = Card("local/minilm", "minilm", kind="embedding", locality="in_process")
model = pytest.mark.model
here = pytest.mark.skipif(locate(WEIGHTS) is None, reason=f"the weights {WEIGHTS} are not here: isthmus models pull")


def request(*texts: str) -> EmbedRequest:
    return EmbedRequest("r", Principal("p", "t"), CARD.id, tuple(Text(text, PUBLIC) for text in texts))


async def vectors(embedder: MiniLM, *texts: str) -> npt.NDArray[np.float32]:
    return (await embedder.embed(request(*texts))).vectors


@model
@here
async def test_shape_length_and_tokens() -> None:
    made = await MiniLM(CARD, WEIGHTS).embed(request("one two", "three"))
    assert made.vectors.shape == (2, DIMENSIONS)
    assert made.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1.0, atol=1e-5)
    assert made.tokens == (2 + 2) + (1 + 2)  # each with its [CLS] and [SEP]


@model
@here
async def test_meaning_is_near() -> None:
    rows = await vectors(
        MiniLM(CARD, WEIGHTS),
        "How many days of holiday do I get?",
        "Employees have thirty days of annual leave.",
        "The database server listens on port 5432.",
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


@model
@here
async def test_a_vector_does_not_depend_on_its_company() -> None:
    embedder = MiniLM(CARD, WEIGHTS)
    texts = ["short", "a somewhat longer sentence about gardens", "word " * 300, "short"]
    together = await vectors(embedder, *texts)
    for row, text in zip(together, texts, strict=True):
        assert np.array_equal(row, (await vectors(embedder, text))[0])


@model
@here
async def test_text_beyond_256_tokens_is_not_read() -> None:
    embedder = MiniLM(CARD, WEIGHTS)
    long = "word " * 254
    assert np.array_equal(await vectors(embedder, long), await vectors(embedder, long + "elephant"))
    assert (await embedder.embed(request(long * 2))).tokens == 256


@model
@here
async def test_requests_at_once_and_none_at_all() -> None:
    embedder = MiniLM(CARD, WEIGHTS)
    first, second = await asyncio.gather(vectors(embedder, "a"), vectors(embedder, "a"))
    assert np.array_equal(first, second)
    assert (await vectors(embedder)).shape == (0, DIMENSIONS)


@model
@here
async def test_the_cards_digest_is_checked() -> None:
    card = cards(Settings())["local/minilm"]
    assert card.digest.startswith("sha256:")
    await vectors(MiniLM(card, WEIGHTS), "x")
    with pytest.raises(DigestMismatch):
        await vectors(MiniLM(replace(card, digest="sha256:" + "0" * 64), WEIGHTS), "x")


async def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        await vectors(MiniLM(CARD, str(tmp_path / "none")), "x")
    assert "isthmus models pull" in caught.value.hint
