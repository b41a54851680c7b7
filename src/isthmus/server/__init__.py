"""The HTTP endpoint. Raw ASGI on the hot path (chat), Starlette for the rest."""
