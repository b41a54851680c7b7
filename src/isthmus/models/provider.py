"""The providers' door: how a model of isthmus.yaml becomes an object that answers.

``provider: NAME`` names an entry point of the group ``isthmus.providers``; it must load to a callable that takes a
:class:`ProviderContext` and gives a :class:`Provider`. Built-ins come through this door like a stranger's plug-in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol, TypeAlias

from isthmus.cards import Card
from isthmus.config import Home, ModelSettings, RuntimeSettings
from isthmus.errors import ConfigInvalid
from isthmus.seams import ChatModel, Clock, Embedder, Transport

GROUP = "isthmus.providers"


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What the process lends a provider. Secrets are read with ``config.secret(reference, home, environment)``."""

    home: Home
    transport: Transport
    clock: Clock
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


class Provider(Protocol):
    """One for each provider's name and process: what its models share (a memory budget) lives in it.

    ``chat`` and ``embedder`` do no I/O beyond reading secrets, and raise :class:`ConfigInvalid` where the settings do
    not make sense, or the provider has no models of that kind. ``start`` and ``stop`` make it a ``seams.Part``.
    """

    def chat(self, settings: ModelSettings, card: Card) -> ChatModel: ...

    def embedder(self, settings: ModelSettings, card: Card) -> Embedder: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


ProviderFactory: TypeAlias = Callable[[ProviderContext], Provider]


def load(name: str) -> ProviderFactory:
    """The factory of that name. Raises :class:`ConfigInvalid`, naming those that there are."""
    found = entry_points(group=GROUP)
    if name not in found.names:
        raise ConfigInvalid(
            f"There is no provider {name!r}.", hint=f"The providers are: {', '.join(sorted(found.names))}."
        )
    try:
        factory: ProviderFactory = found[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigInvalid(f"The provider {name!r} cannot be loaded: {error}.") from error
    return factory


class Providers:
    """The providers of one process, each made when a model first names it. Iterating gives those made so far,
    which are the parts to start and stop."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._made: dict[str, Provider] = {}

    def chat(self, settings: ModelSettings, card: Card) -> ChatModel:
        """Raises :class:`ConfigInvalid`."""
        return self._of(settings).chat(settings, card)

    def embedder(self, settings: ModelSettings, card: Card) -> Embedder:
        """Raises :class:`ConfigInvalid`."""
        return self._of(settings).embedder(settings, card)

    def __iter__(self) -> Iterator[Provider]:
        return iter(tuple(self._made.values()))

    def _of(self, settings: ModelSettings) -> Provider:
        if settings.provider not in self._made:
            self._made[settings.provider] = load(settings.provider)(self._context)
        return self._made[settings.provider]
