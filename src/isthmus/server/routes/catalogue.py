"""GET /v1/models: OpenAI's list, with each model's card under ``isthmus``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.cards import Card
from isthmus.errors import ModelNotFound
from isthmus.principals import Principal


def routes(cards: Mapping[str, Card], authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """The list, and one model by its id (which may hold slashes)."""

    async def list_models(request: Request) -> Response:
        authenticate(request.scope)
        data = [_auto(), *(_model(card) for card in cards.values())]
        return JSONResponse({"object": "list", "data": data})

    async def show_model(request: Request) -> Response:
        authenticate(request.scope)
        name = request.path_params["model"]
        if name == "auto":
            return JSONResponse(_auto())
        if name not in cards:
            raise ModelNotFound(f"There is no model {name!r}.")
        return JSONResponse(_model(cards[name]))

    return [Route("/v1/models", list_models), Route("/v1/models/{model:path}", show_model)]


def _auto() -> dict[str, object]:
    return {"id": "auto", "object": "model", "created": 0, "owned_by": "isthmus"}


def _model(card: Card) -> dict[str, object]:
    clearance = card.clearance
    return {
        "id": card.id,
        "object": "model",
        "created": 0,
        "owned_by": card.provider,
        "isthmus": {
            "kind": card.kind,
            "locality": card.locality,
            "jurisdiction": card.jurisdiction,
            "retention": card.retention,
            "tier": card.tier,
            "context": card.context,
            "digest": card.digest,
            "openness": {
                "weights": card.openness.weights,
                "code": card.openness.code,
                "data": card.openness.data,
                "licence": card.openness.licence,
            },
            "clearance": {
                "level": str(clearance.level),
                "categories": ["*"] if clearance.categories is None else sorted(clearance.categories),
            },
            "price": {"input": card.price.input, "output": card.price.output, "currency": card.price.currency,
                      "per": card.price.per},
        },
    }  # fmt: skip
