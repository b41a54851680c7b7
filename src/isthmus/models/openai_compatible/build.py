"""From a model's settings to its endpoint: what the row says, unless the settings say otherwise."""

from __future__ import annotations

from isthmus.config import ModelSettings
from isthmus.errors import ConfigInvalid
from isthmus.models.openai_compatible.endpoint import Endpoint
from isthmus.models.openai_compatible.rows import Row
from isthmus.seams import Transport


def endpoint(row: Row, settings: ModelSettings, key: str, transport: Transport) -> Endpoint:
    """Raises :class:`ConfigInvalid`, saying what is missing. ``key`` is the secret itself, or empty."""
    base_url = settings.base_url or row.base_url
    if base_url is None:
        raise ConfigInvalid(f"The model {settings.id!r} needs a `base_url`.")
    if not key and row.key == "required":
        raise ConfigInvalid(
            f"The model {settings.id!r} needs an `api_key`.", hint="Write ${NAME} for an environment variable."
        )
    unknown = settings.options.keys() - row.query.keys() - {"dimensions"}
    if unknown:
        raise ConfigInvalid(f"The provider {row.name!r} has no option {min(unknown)!r} (model {settings.id!r}).")
    query = {name: str(settings.options.get(name, value)) for name, value in row.query.items()}
    return Endpoint(row, base_url, settings.model or settings.id, settings.timeout, transport, key, query)


def dimensions(settings: ModelSettings) -> int:
    """What the vectors of an embedding model have. Raises :class:`ConfigInvalid` where the settings don't say."""
    value = settings.options.get("dimensions")
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65_536:
        return value
    raise ConfigInvalid(
        f"The embedding model {settings.id!r} must say how many numbers its vectors have.",
        hint="Add `options: {dimensions: 1536}`, with the vendor's number.",
    )
