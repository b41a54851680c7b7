"""Guards by name, through the same entry points that a stranger's guard uses.

An entry point of the group ``isthmus.guards`` is anything that is called with the settings and the pool of workers
and gives a :class:`isthmus.seams.Guard`. One that can watch a stream has a method ``redactor`` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from isthmus.config import GuardSettings
from isthmus.errors import ConfigInvalid
from isthmus.guardrails.pii import Pii
from isthmus.guardrails.pool import Pool
from isthmus.guardrails.secrets import Secrets
from isthmus.guardrails.together import Together
from isthmus.guardrails.window import StreamGuard, StreamWindow
from isthmus.seams import Guard

GROUP = "isthmus.guards"


class Guards:
    """All guards of one process, over one pool. ``input`` checks whole texts: requests, passages, documents.
    ``output`` is for a :class:`StreamWindow`. A part: ``start`` begins to warm the workers up, ``stop`` ends them."""

    def __init__(self, input: Sequence[Guard], output: Sequence[StreamGuard], pool: Pool) -> None:
        self.input: tuple[Guard, ...] = (Together(input),) if input else ()
        self.output = tuple(output)
        self._pool = pool

    def window(self) -> StreamWindow:
        """The output guards over one answer."""
        return StreamWindow(self.output)

    async def start(self) -> None:
        if self.input:
            await self._pool.start()

    async def stop(self) -> None:
        await self._pool.stop()


def load_guards(settings: GuardSettings) -> Guards:
    """The guards that the settings name. Raises :class:`ConfigInvalid`."""
    pool = Pool(settings.workers, settings.timeout, warm=("leaks", "pii"))
    output = [_streaming(load(name, settings, pool)) for name in settings.output]
    return Guards([load(name, settings, pool) for name in settings.input], output, pool)


def load(name: str, settings: GuardSettings, pool: Pool) -> Guard:
    """The guard of that name. Raises :class:`ConfigInvalid` where there is none, or it cannot be made."""
    entry = _entry(name)
    try:
        guard: Guard = entry.load()(settings, pool)
    except Exception as error:  # a stranger's plug-in may raise anything
        raise ConfigInvalid(f"The guard {name!r} cannot be loaded: {error}.", hint="Reinstall its package.") from error
    return guard


def versions(settings: GuardSettings) -> dict[str, str]:
    """For each guard in force, the distribution that it comes from, with its version. Raises :class:`ConfigInvalid`."""
    entries = {name: _entry(name) for name in sorted({*settings.input, *settings.output})}
    return {name: f"{entry.dist.name} {entry.dist.version}" if entry.dist else "" for name, entry in entries.items()}


def _entry(name: str) -> EntryPoint:
    found = entry_points(group=GROUP)
    if name not in found.names:
        names = ", ".join(sorted(found.names)) or "none"
        raise ConfigInvalid(f"There is no guard {name!r}.", hint=f"The guards installed are: {names}.")
    return found[name]


def _streaming(guard: Guard) -> StreamGuard:
    if isinstance(guard, StreamGuard):
        return guard
    raise ConfigInvalid(
        f"The guard {guard.name!r} cannot watch a stream.", hint="Take it out of guardrails.output; it can check input."
    )


def secrets(settings: GuardSettings, pool: Pool) -> Guard:
    """Entry point of the guard "secrets"."""
    return Secrets(pool)


def pii(settings: GuardSettings, pool: Pool) -> Guard:
    """Entry point of the guard "pii"."""
    return Pii(pool)
