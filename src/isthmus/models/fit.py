"""Will a model run here? Memory that it needs, against memory that this process may have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.models.gguf import Gguf

_F16 = 2
_UBATCH = 512  # llama.cpp's default: tokens whose logits and activations are held at once
_BASE = 64 * 1024 * 1024
# man 7 cgroups: "0::/path" is version 2, "4:memory:/path" version 1.
_GROUP_FILES = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current"),
    "memory": ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: what the machine (or the container) has, and what of it is free now."""

    total: int
    available: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Bytes for ``weights``, ``cache`` (keys and values of ``context`` tokens) and ``work`` (the runtime's buffers).
    ``largest``: the most tokens of context that fit."""

    context: int
    weights: int
    cache: int
    work: int
    budget: int
    largest: int

    @property
    def need(self) -> int:
        return self.weights + self.cache + self.work

    @property
    def fits(self) -> bool:
        return self.need <= self.budget


def fit(model: Gguf, context: int, budget: int, bytes_per_number: float = _F16) -> Fit:
    """Whether ``model`` runs with ``context`` tokens (all parallel requests together) in ``budget`` bytes.

    An estimate from the header: exact for weights and the cache, an upper bound for the runtime's buffers.
    """
    work = _BASE + _UBATCH * model.vocabulary * 4
    per_token = model.kv_width * bytes_per_number
    room = max(0, budget - model.size - work)
    largest = min(model.context, int(room / per_token)) if per_token else model.context
    return Fit(context, model.size, int(per_token * context), work, budget, largest)


def budget(configured: int | None) -> int:
    """Bytes for local models: as ``runtime.memory`` says, or 60 % of what the machine has."""
    return memory().total * 6 // 10 if configured is None else configured


def memory(root: Path = Path("/")) -> Memory:
    """Of this machine, or of the control group that this process is confined to. ``root``: where /proc and /sys are."""
    total, available = _machine(root)
    for limit, used in _groups(root):
        total, available = min(total, limit), min(available, max(0, limit - used))
    return Memory(total, available)


def _machine(root: Path) -> tuple[int, int]:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        facts = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        return facts["MemTotal"], facts["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # macOS has no /proc
        return total, total


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of each control group around this process that limits memory."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controller, path = line.split(":", 2)
        if (files := _GROUP_FILES.get(controller)) is None:
            continue
        folder, limit, used = files
        for group in _upwards(root / folder, path):
            numbers = [_text(group / name).strip() for name in (limit, used)]
            if all(number.isdigit() for number in numbers):  # "max": no limit
                yield int(numbers[0]), int(numbers[1])


def _upwards(base: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it; inside a container only the base may be there."""
    group = base / path.strip("/")
    yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8")
    except OSError:
        return ""
