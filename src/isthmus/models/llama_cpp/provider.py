"""``provider: llama_cpp`` at the providers' door."""

from __future__ import annotations

import os
from dataclasses import replace

from isthmus.cards import Card
from isthmus.config import ModelSettings
from isthmus.errors import ConfigInvalid
from isthmus.models import fit
from isthmus.models.catalogue import weights_name
from isthmus.models.llama_cpp.chat import LlamaCpp, Shape
from isthmus.models.llama_cpp.engine import Engine
from isthmus.models.llama_cpp.runtime import Runtime
from isthmus.models.provider import ProviderContext
from isthmus.seams import ChatModel, Embedder

_CONTEXT = 8192
_MAX_TOKENS = 1024


class LlamaCppProvider:
    """Every model of this provider shares one runtime, and so one memory budget.

    ``options``: ``threads`` (default: ``runtime.threads``, or the cores this process may use), ``max_tokens`` (where a
    request says none; default 1024). ``context`` is shared by parallel requests (default 8192).
    """

    def __init__(self, context: ProviderContext) -> None:
        self._home = context.home
        self._settings = context.runtime
        self._runtime: Runtime[Engine] = Runtime(
            fit.budget(context.runtime.memory), context.runtime.idle_unload, context.clock
        )

    def chat(self, settings: ModelSettings, card: Card) -> ChatModel:
        """Raises :class:`ConfigInvalid`."""
        name = weights_name(settings, self._home)
        if name is None:
            raise ConfigInvalid(f"The model {settings.id!r} needs `weights`.", hint="Name a starter, a path, or hub:….")
        if settings.locality != "in_process":
            raise ConfigInvalid(f"The model {settings.id!r} runs here: write `locality: in_process`.")
        shape = self._shape(settings)
        return LlamaCpp(replace(card, context=shape.context), name, shape, self._runtime)

    def embedder(self, settings: ModelSettings, card: Card) -> Embedder:
        raise ConfigInvalid(f"llama_cpp has no embedding models (model {settings.id!r}).", hint="Use `minilm`.")

    async def start(self) -> None:
        await self._runtime.start()

    async def stop(self) -> None:
        await self._runtime.stop()

    def _shape(self, settings: ModelSettings) -> Shape:
        unknown = settings.options.keys() - {"threads", "max_tokens"}
        if unknown:
            raise ConfigInvalid(f"The provider llama_cpp has no option {min(unknown)!r} (model {settings.id!r}).")
        return Shape(
            context=settings.context or _CONTEXT,
            parallel=self._settings.parallel,
            threads=_positive(settings, "threads", self._settings.threads or cores()),
            max_tokens=_positive(settings, "max_tokens", _MAX_TOKENS),
        )


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _positive(settings: ModelSettings, name: str, default: int) -> int:
    value = settings.options.get(name, default)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ConfigInvalid(f"The option {name!r} of {settings.id!r} must be a whole number above 0.")
