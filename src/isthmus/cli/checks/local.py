"""Local models: their weights, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.cli.checks.finding import Finding, Setup
from isthmus.config import ModelSettings, cache_folder
from isthmus.errors import IsthmusError
from isthmus.models import catalogue, fit, gguf
from isthmus.models.weights import Store
from isthmus.models.weights.digests import no_progress

_CONTEXT = 8192


def weights(setup: Setup) -> Iterator[Finding]:
    store = Store(cache_folder())
    for model, name in _local(setup):
        try:
            store.find(name).verify(no_progress, quick=True)
            yield Finding("weights", "ok", f"{model.id}: {name} is here and has its digest.")
        except IsthmusError as error:
            yield Finding("weights", "fail", f"{model.id}: {error.message}", error.hint)


def memory(setup: Setup) -> Iterator[Finding]:
    budget = fit.budget(setup.settings.runtime.memory)
    for model, name in _local(setup):
        if (header := _header(name)) is None:
            continue
        result = fit.fit(header, model.context or _CONTEXT, budget)
        yield _judged(result, f"{model.id} needs {result.need / 1e9:.1f} of {budget / 1e9:.1f} GB")


def _judged(result: fit.Fit, facts: str) -> Finding:
    facts = f"{facts} with {result.context:,} tokens of context"
    if result.fits:
        return Finding("memory", "ok", f"{facts}.")
    hint = f"Set the model's context to {result.largest}, or choose smaller weights."
    return Finding("memory", "fail", f"{facts}.", hint if result.largest else "Choose smaller weights.")


def _local(setup: Setup) -> Iterator[tuple[ModelSettings, str]]:
    """The models whose weights we hold, and the weights' names."""
    for model in catalogue.models(setup.settings).values():
        if (name := catalogue.weights_name(model, setup.home)) is not None:
            yield model, name


def _header(name: str) -> gguf.Gguf | None:
    """``None`` for what is not here (which ``weights`` says) or is no GGUF."""
    try:
        path = Store(cache_folder()).find(name).locate()
        return None if path is None or path.is_dir() else gguf.read(path)
    except IsthmusError:
        return None
