"""Local models: their weights, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isthmus.cli.checks.finding import Finding, Setup
from isthmus.config import ModelSettings, cache_folder
from isthmus.errors import IsthmusError
from isthmus.models import fit, gguf
from isthmus.models.weights import Store
from isthmus.models.weights.digests import no_progress

_CONTEXT = 8192


def weights(setup: Setup) -> Iterator[Finding]:
    store = Store(cache_folder())
    for model in setup.settings.models:
        if model.weights is None:
            continue
        try:
            store.find(model.weights).verify(no_progress, quick=True)
            yield Finding("weights", "ok", f"{model.id}: {model.weights} is here and has its digest.")
        except IsthmusError as error:
            yield Finding("weights", "fail", f"{model.id}: {error.message}", error.hint)


def memory(setup: Setup) -> Iterator[Finding]:
    budget = fit.budget(setup.settings.runtime.memory)
    for model in setup.settings.models:
        path = _file(model)
        if path is None:
            continue
        try:
            header = gguf.read(path)
        except IsthmusError:
            continue  # weights of another kind
        result = fit.fit(header, model.context or _CONTEXT, budget)
        facts = f"{model.id} needs {result.need / 1e9:.1f} GB for {result.context} tokens, of {budget / 1e9:.1f} GB"
        if result.fits:
            yield Finding("memory", "ok", f"{facts}.")
        else:
            hint = f"At most {result.largest} tokens of `context` fit; or choose smaller weights."
            yield Finding(
                "memory", "fail", f"{facts}: it does not fit.", hint if result.largest else "Choose smaller weights."
            )


def _file(model: ModelSettings) -> Path | None:
    try:
        path = Store(cache_folder()).find(model.weights).locate() if model.weights is not None else None
    except IsthmusError:
        return None  # said by `weights`
    return path if path is not None and path.is_file() else None
