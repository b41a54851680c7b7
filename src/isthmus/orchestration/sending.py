"""What an entry says of a call: how much is sent, to whom, and under which terms at that moment."""

from __future__ import annotations

from isthmus.cards import Card
from isthmus.messages import ChatRequest, EmbedRequest, Image
from isthmus.orchestration.label import other_texts


def receiver(card: Card) -> dict[str, object]:
    """Who receives it and under which declared terms. ``vendor`` is empty for a model in this process."""
    told: dict[str, object] = {
        "provider": card.provider,
        "vendor": card.host,
        "jurisdiction": card.jurisdiction,
        "retention": card.retention,
    }
    if card.terms is not None:
        expires = card.terms.expires
        told["terms"] = {
            "contract": card.terms.contract,
            "expires": None if expires is None else expires.isoformat(),
            "subprocessors": sorted(card.terms.subprocessors),
        }
    return told


def amount(request: ChatRequest | EmbedRequest) -> dict[str, int]:
    """How many texts and images are sent, and how many characters: of tools, schemas and stop words too."""
    if isinstance(request, EmbedRequest):
        return {"texts": len(request.texts), "images": 0, "characters": sum(len(text.text) for text in request.texts)}
    texts = [text.text for text in request.texts()]
    images = sum(isinstance(part, Image) for message in request.messages for part in message.parts)
    others = sum(map(len, other_texts(request)))
    return {"texts": len(texts), "images": images, "characters": sum(map(len, texts)) + others}
