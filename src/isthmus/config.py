"""isthmus.yaml and the environment, read once into frozen ``Settings``.

The file owns models, policy and guards; the database owns keys, teams and budgets. Secrets are never in the file:
an ``api_key`` is ``${NAME}`` (an environment variable) or ``file:PATH``. An unknown field is an error, with its path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct, field

from isthmus.errors import ConfigInvalid

LevelName = Literal["public", "internal", "confidential", "restricted"]
Port = Annotated[int, Meta(ge=0, le=65535)]
_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|file:(.+)")
#: A witness's address, and a public key as a signed note's (https://c2sp.org/signed-note).
_URL = r"^https?://[^\s/?#]+[^\s?#]*$"
_VKEY = r"^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$"


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file; unknown fields are refused."""


class ServerSettings(_Section, frozen=True):
    """Where the endpoint listens, and what it takes: ``max_body_bytes`` bounds a request, images included, and
    ``max_prompt_characters`` its text (413 beyond either)."""

    host: str = "127.0.0.1"
    port: Port = 8787
    authentication: Literal["keys", "none"] = "keys"
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 10_000_000
    max_prompt_characters: Annotated[int, Meta(ge=256)] = 400_000


class LabelSettings(_Section, frozen=True):
    """A label as written in the file. ``residency`` lists the jurisdictions allowed; absent means any."""

    level: LevelName = "internal"
    categories: list[str] = []
    residency: list[str] | None = None
    licences: list[str] = []


class LabelDefaults(_Section, frozen=True):
    """``default`` labels typed text; a purpose may raise it. An assistant turn that was not given here has lost its
    origin: ``unknown_answers: lost`` keeps it in this process, ``typed`` trusts the client that it wrote it itself."""

    default: LabelSettings = field(default_factory=LabelSettings)
    purposes: dict[str, LabelSettings] = {}
    unknown_answers: Literal["lost", "typed"] = "lost"


class OpennessSettings(_Section, frozen=True):
    weights: Literal["", "open", "closed"] = ""
    code: Literal["", "open", "closed"] = ""
    data: Literal["", "open", "closed"] = ""
    licence: str = ""


class PriceSettings(_Section, frozen=True):
    """Money per ``per`` tokens."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None
    currency: str = "USD"
    per: Annotated[int, Meta(ge=1)] = 1_000_000


class ClearanceSettings(_Section, frozen=True):
    """The highest label the model may see; ``categories: ["*"]`` clears every category."""

    level: LevelName = "public"
    categories: list[str] = []


class TermsSettings(_Section, frozen=True):
    contract: str = ""
    expires: date | None = None
    subprocessors: list[str] = []


class ModelSettings(_Section, frozen=True):
    """One model. ``options`` holds what only its provider knows (context, threads, api_version…)."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
    provider: str
    kind: Literal["chat", "embedding"] = "chat"
    weights: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    model: str | None = None
    locality: Literal["in_process", "on_premises", "api"] = "api"
    jurisdiction: str = ""
    retention: str = ""
    tier: str = ""
    context: Annotated[int, Meta(ge=256)] | None = None
    timeout: Annotated[float, Meta(gt=0)] = 120.0
    concurrency: Annotated[int, Meta(ge=1)] | None = None
    openness: OpennessSettings = field(default_factory=OpennessSettings)
    price: PriceSettings = field(default_factory=PriceSettings)
    clearance: ClearanceSettings | None = None
    terms: TermsSettings | None = None
    options: dict[str, Any] = {}


class RuntimeSettings(_Section, frozen=True):
    """Local inference in this process. ``memory`` in bytes (absent: 60 % of the machine's); a model unused for
    ``idle_unload`` seconds is unloaded."""

    memory: int | None = None
    idle_unload: float = 900.0
    threads: int | None = None
    parallel: Annotated[int, Meta(ge=1, le=64)] = 4


class RoutingSettings(_Section, frozen=True):
    """``auto`` before a router is learned: closed if admitted and the request asks for reasoning, else open.
    ``prefer`` orders the models within a side; absent: the file's order."""

    prefer: list[str] = []
    failover: Annotated[int, Meta(ge=0, le=5)] = 1


class CollectionSettings(_Section, frozen=True):
    """``label`` is the least label of what the collection holds; ``groups`` may read it (empty: everyone)."""

    label: LabelSettings = field(default_factory=LabelSettings)
    groups: list[str] = []


class KnowledgeSettings(_Section, frozen=True):
    """``passages`` handed to a model at most, ``passage_tokens`` all of them together (about; prefill costs time)."""

    collections: dict[str, CollectionSettings] = {}
    embedder: str = "local/minilm"
    passages: Annotated[int, Meta(ge=1, le=50)] = 4
    passage_tokens: Annotated[int, Meta(ge=100)] = 600
    max_file_bytes: int = 50_000_000


class PolicySettings(_Section, frozen=True):
    """``folder`` holds ``*.cedar``; relative to the file, then to the home folder. Absent: the shipped starter set."""

    folder: str | None = None


class GuardSettings(_Section, frozen=True):
    """``input`` and ``output`` name guards by their entry points. ``workers`` are processes for the heavy ones."""

    input: list[str] = field(default_factory=lambda: ["secrets", "pii"])
    output: list[str] = field(default_factory=lambda: ["secrets"])
    workers: Annotated[int, Meta(ge=1, le=16)] = 1
    timeout: Annotated[float, Meta(gt=0)] = 30.0


class WitnessSettings(_Section, frozen=True):
    """A witness of the log: its address without ``/add-checkpoint``, and its public key, ``NAME+ID+KEY``."""

    url: Annotated[str, Meta(extra_json_schema={"pattern": _URL})]
    vkey: Annotated[str, Meta(extra_json_schema={"pattern": _VKEY})]

    def __post_init__(self) -> None:
        if not re.fullmatch(_URL, self.url):
            raise ValueError("`url` must be a witness's address: http:// or https://, a host, perhaps a path")
        if self.url.rstrip("/").endswith("/add-checkpoint"):
            raise ValueError("`url` must be the witness's address without /add-checkpoint, which is added")
        if not re.fullmatch(_VKEY, self.vkey):
            raise ValueError("`vkey` must be the witness's public key, NAME+ID+KEY: the witness prints it")


class AuditSettings(_Section, frozen=True):
    """``origin`` names the log in its checkpoints (absent: one is made at first start). ``database``: replicas share
    the log in that PostgreSQL (docs/audit-postgres.md); absent: it is in the home folder. ``content_days``: how long
    content is kept that policy says keep (absent: until it is erased). ``witnesses`` are asked to cosign the newest
    checkpoint, ``witness_every`` so many seconds (docs/witness.md)."""

    origin: str | None = None
    database: str | None = None
    content_days: Annotated[int, Meta(ge=1)] | None = None
    witnesses: list[WitnessSettings] = []
    witness_every: Annotated[float, Meta(gt=0)] = 60.0


class Settings(_Section, frozen=True):
    """The whole of isthmus.yaml."""

    server: ServerSettings = field(default_factory=ServerSettings)
    labels: LabelDefaults = field(default_factory=LabelDefaults)
    models: list[ModelSettings] = []
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    knowledge: KnowledgeSettings = field(default_factory=KnowledgeSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    guardrails: GuardSettings = field(default_factory=GuardSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)


class Home(Struct, frozen=True):
    """The one folder that holds all state; ``source`` is the configuration file that was read, if any."""

    path: Path
    source: Path | None = None

    @property
    def database(self) -> Path:
        return self.path / "isthmus.db"

    @property
    def audit(self) -> Path:
        return self.path / "audit"

    @property
    def secrets(self) -> Path:
        """Files of mode 600: the pepper, the master key of contents, the log's signing key."""
        return self.path / "secrets"

    def resolve(self, relative: str) -> Path:
        """A path from the file: absolute, or beside the configuration file, or in the home folder."""
        path = Path(relative).expanduser()
        if path.is_absolute():
            return path
        if self.source is not None and (beside := self.source.parent / path).exists():
            return beside
        return self.path / path


def default_home(environment: Mapping[str, str] = os.environ) -> Path:
    """``ISTHMUS_HOME``, or ``~/.isthmus``."""
    return Path(environment.get("ISTHMUS_HOME") or "~/.isthmus").expanduser()


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where weights are kept, shared between homes: ``ISTHMUS_CACHE``, or ``isthmus`` in the user's cache folder."""
    if own := environment.get("ISTHMUS_CACHE"):
        return Path(own).expanduser()
    return Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "isthmus"


def load(file: Path | None = None, home: Path | None = None) -> tuple[Settings, Home]:
    """Read the configuration: ``file``, else ``isthmus.yaml`` here, else in the home folder, else the defaults.

    Raises :class:`ConfigInvalid` where the file named does not exist, is not YAML, or does not fit the schema.
    """
    folder = home or default_home()
    if file is not None and not file.is_file():
        raise ConfigInvalid(f"There is no configuration file {file}.", hint="Make one with `isthmus init`.")
    candidates = [file] if file is not None else [Path("isthmus.yaml"), folder / "isthmus.yaml"]
    source = next((path for path in candidates if path.is_file()), None)
    if source is None:
        return Settings(), Home(folder)
    return parse(_read(source), str(source)), Home(folder, source.resolve())


def _read(source: Path) -> str:
    try:
        return source.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{source} cannot be read: {_why(error)}.") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not UTF-8 text"


def parse(text: str, name: str = "isthmus.yaml") -> Settings:
    """Settings from YAML text. Raises :class:`ConfigInvalid`, saying where."""
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigInvalid(f"{name} is not valid YAML: {error}.") from error
    try:
        settings = msgspec.convert({} if plain is None else plain, Settings)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"{name}: {error}.") from error
    _check(settings, name)
    return settings


def _check(settings: Settings, name: str) -> None:
    if settings.audit.database is not None and not _SECRET.fullmatch(settings.audit.database):
        raise ConfigInvalid(
            f"{name}: audit.database stands in the file; its connection string may hold a password.",
            hint="Write ${NAME} for an environment variable, or file:PATH.",
        )
    seen: set[str] = set()
    for model in settings.models:
        if model.id in seen:
            raise ConfigInvalid(f"{name}: two models are called {model.id!r}.")
        if model.id == "auto" or model.id.startswith("assistant/"):
            raise ConfigInvalid(f"{name}: {model.id!r} is a reserved name.")
        if model.api_key is not None and not _SECRET.fullmatch(model.api_key):
            raise ConfigInvalid(
                f"{name}: the api_key of {model.id!r} stands in the file.",
                hint="Write ${NAME} for an environment variable, or file:PATH.",
            )
        seen.add(model.id)


def secret(reference: str, home: Home, environment: Mapping[str, str] = os.environ) -> str:
    """The secret that ``${NAME}`` or ``file:PATH`` stands for. Raises :class:`ConfigInvalid` where it is missing."""
    match = _SECRET.fullmatch(reference)
    if match is None:
        raise ConfigInvalid("A secret must be ${NAME} or file:PATH.")
    name, path = match.groups()
    if name is not None:
        if value := environment.get(name, "").strip():
            return value
        raise ConfigInvalid(f"The environment variable {name} is not set.", hint=f"Set {name} and start again.")
    try:
        return home.resolve(path).read_text(encoding="utf8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"The secret in {path} cannot be read: {_why(error)}.") from error


def json_schema() -> dict[str, Any]:
    """The JSON Schema of isthmus.yaml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Settings)}
