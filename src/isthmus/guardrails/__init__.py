"""Guards: what is in a text, before it goes anywhere and before it is released."""

from isthmus.guardrails.loading import Guards, load_guards

__all__ = ["Guards", "load_guards"]
