"""The architecture on one page: what each stop of the pipeline asks of the layer below it.

Everything is injected by ``wiring``; nobody below constructs its own neighbour. A bare ``ChatModel`` or
``Embedder`` never leaves ``wiring``: what is handed out is wrapped by ``models.wrappers.admit``, which asks the
policy before every call, whoever makes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from isthmus.cards import Card
from isthmus.labels import PUBLIC, Label
from isthmus.messages import ChatEvent, ChatRequest, EmbedRequest, Passage, Text
from isthmus.principals import Principal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# ---------------------------------------------------------------- models


class ChatModel(Protocol):
    """A chat model, open or closed. ``stream`` raises :class:`isthmus.errors.Upstream` on failure, also midway;
    closing the iterator cancels the call. A stream that ends without ``Finish`` was cut."""

    @property
    def card(self) -> Card: ...

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]: ...


@dataclass(frozen=True, slots=True)
class Embeddings:
    """``vectors``: float32, shape (texts, dimensions), rows of unit length. ``tokens`` read."""

    vectors: npt.NDArray[np.float32]
    tokens: int


class Embedder(Protocol):
    @property
    def card(self) -> Card: ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, request: EmbedRequest) -> Embeddings: ...


# ---------------------------------------------------------------- policy


@dataclass(frozen=True, slots=True)
class Ask:
    """May this principal's text, so labelled, be sent to this model for this purpose on this day?"""

    principal: Principal
    card: Card
    label: Label
    purpose: str = ""


Obligation: TypeAlias = Literal["pseudonymise", "review", "mark", "keep"]


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` names the policy that decided (a permit's name, or the forbid that stopped it); ``reason`` is its
    ``@reason`` annotation, for people. ``policy`` is the hash of the set in force."""

    allowed: bool
    rule: str
    reason: str
    policy: str
    obligations: frozenset[Obligation] = frozenset()


class Policy(Protocol):
    """Pure and synchronous. Never raises: what cannot be decided is a denial."""

    @property
    def hash(self) -> str: ...

    def decide(self, ask: Ask) -> Decision: ...


# ---------------------------------------------------------------- guards

Stage: TypeAlias = Literal["input", "passage", "output", "ingest"]
Action: TypeAlias = Literal["allow", "redact", "block"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``start`` and ``end`` are character offsets into the text as given; the matched text itself is not kept."""

    kind: str
    start: int
    end: int
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``label`` joins into the text's label: a guard can only raise. ``rule`` names the guard that decided."""

    action: Action = "allow"
    label: Label = PUBLIC
    findings: tuple[Finding, ...] = ()
    rule: str = ""


class Guard(Protocol):
    """Raises :class:`isthmus.errors.GuardUnavailable` when it cannot tell: the caller stops."""

    @property
    def name(self) -> str: ...

    async def check(self, text: str, stage: Stage) -> Verdict: ...


class OutputWindow(Protocol):
    """The output guards over one stream. ``feed`` gives what may be released now; text that a guard may still need
    is held back. ``close`` gives the rest. Raises :class:`isthmus.errors.GuardBlocked`."""

    async def feed(self, text: str) -> str: ...

    async def close(self) -> str: ...

    @property
    def found(self) -> Mapping[str, int]:
        """What was found so far, and cut out or blocked: how many of each kind."""
        ...


# ---------------------------------------------------------------- knowledge


@dataclass(frozen=True, slots=True)
class Retrieval:
    """``passages`` best first. ``relevant`` is false where nothing found is close enough to answer from: then no
    model is asked. ``reason`` says why, with the scores."""

    passages: tuple[Passage, ...]
    relevant: bool
    reason: str


class Retriever(Protocol):
    """Only what the principal may read is ever scored. ``of`` is the request that the query is part of."""

    async def retrieve(
        self,
        query: Text,
        principal: Principal,
        *,
        collections: Sequence[str],
        limit: int,
        purpose: str = "",
        of: str = "",
    ) -> Retrieval: ...


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk on its way into the store. ``vector``: float32 of the embedder's dimensions, unit length."""

    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]
    label: Label
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A parsed document on its way into the store. ``groups``: who may read it (empty: everyone).
    ``source`` identifies it within its collection (a path); ``digest`` is ``sha256:…`` of the file."""

    collection: str
    source: str
    title: str
    media_type: str
    digest: str
    text: str
    label: Label
    groups: frozenset[str]
    owner: str
    chunks: tuple[NewChunk, ...]
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    id: str
    collection: str
    source: str
    title: str
    media_type: str
    digest: str
    label: Label
    groups: frozenset[str]
    owner: str
    chunks: int
    added: datetime


class Documents(Protocol):
    """Documents, ACLs, labels, text, vectors and keyword index: one transaction a document. Synchronous."""

    def put(self, document: NewDocument) -> str: ...

    def find(self, collection: str, source: str) -> StoredDocument | None: ...

    def list(self, principal: Principal | None = None, collection: str | None = None) -> list[StoredDocument]: ...

    def delete(self, document: str) -> bool: ...

    def text(self, document: str, principal: Principal) -> str: ...


class Provenance(Protocol):
    """Recognises text that was labelled before, when it comes back without its label. Near-verbatim reuse only."""

    def recognise(self, text: str) -> Label:
        """The join of the labels of what the text repeats; ``PUBLIC`` where it repeats nothing."""
        ...

    def answered(self, text: str, principal: str) -> Label | None:
        """The label of an answer that was given to the principal word for word; ``None`` where there was none."""
        ...

    def remember(self, answer: str, label: Label, typed: str, principal: str) -> None:
        """Keep fingerprints of an answer, or of a part of one, without what only repeats the ``typed`` text."""
        ...

    async def keep(self, label: Label) -> None:
        """Put what was remembered on disk before the answer ends, where its label asks for it."""
        ...


# ---------------------------------------------------------------- evidence


@dataclass(frozen=True, slots=True)
class Receipt:
    """Names an entry of the log and proves that it is in it (RFC 6962 section 2.1.1).

    ``leaf`` and each hash of ``proof`` are lower-case hex; ``checkpoint`` is a C2SP signed note that covers the entry.
    """

    log: str
    index: int
    leaf: str
    size: int
    root: str
    proof: tuple[str, ...]
    checkpoint: str


Event: TypeAlias = Mapping[str, object]


class AuditLog(Protocol):
    """``append`` returns once the entry is written with write(2) (``flush=False``) or on disk (``flush=True``, one
    group commit for all that wait). Raises :class:`isthmus.errors.AuditUnavailable`: then the caller stops."""

    async def append(self, event: Event, *, flush: bool) -> int: ...

    async def receipt(self, index: int) -> Receipt: ...


# ---------------------------------------------------------------- limits, keys, the outside


class Limits(Protocol):
    """Budgets and rates: reserved at admission, settled after. Money in the price's currency."""

    def reserve(self, principal: Principal, card: Card, estimate: float) -> str: ...

    def settle(self, reservation: str, cost: float) -> None: ...


class Keys(Protocol):
    """``authenticate`` raises :class:`isthmus.errors.Unauthenticated`, the same for unknown and revoked keys."""

    def authenticate(self, token: str) -> Principal: ...


class Vault(Protocol):
    """Salted commitments to content, and content that policy says keep, sealed. Both hang on a secret of the subject
    (a principal's id): once that is destroyed, commitments tell nothing and content cannot be opened."""

    async def commit(self, subject: str, request: str, text: str) -> str:
        """64 hex digits. Raises :class:`isthmus.errors.StoreUnavailable`."""
        ...

    async def keep(self, subject: str, request: str, model: str, texts: Mapping[str, str]) -> Mapping[str, str]:
        """On disk when it returns; for each kind of text the SHA-256 of its ciphertext. Raises StoreUnavailable."""
        ...


class Clock(Protocol):
    """``now`` is aware, in UTC; ``monotonic`` in seconds."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """``timeout`` bounds the wait for headers and for each following chunk, in seconds."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float = 120.0


class HttpResponse(Protocol):
    """``chunks`` raises :class:`isthmus.errors.UpstreamFailed` where the connection is cut early."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]: ...

    async def close(self) -> None: ...


class Transport(Protocol):
    """HTTP to a model's server: no redirects followed, no proxy taken from the environment."""

    async def send(self, request: HttpRequest) -> HttpResponse: ...

    async def close(self) -> None: ...


class Part(Protocol):
    """What wiring starts with the server and stops with it, in order."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


Parts: TypeAlias = Iterable[Part]
