"""The only file that names concrete classes: settings in, a stack of started parts out.

What is handed to a layer is what its seam says, and nothing more. Models and embedders leave this file only inside
``Admitted`` and ``AdmittedEmbedder``, which ask the policy before every call: nobody below can hold a bare one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial

import msgspec

from isthmus import __version__
from isthmus.cards import Card
from isthmus.clock import SystemClock
from isthmus.config import Home, LabelSettings, ModelSettings, Settings
from isthmus.data.budgets import MonthlyBudgets
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.data.keys import Keys, open_keys
from isthmus.data.parsing.reader import Reader
from isthmus.data.passages import Passages
from isthmus.data.places import Places
from isthmus.data.provenance import StoredProvenance, fingerprint_key
from isthmus.data.vault import Vault, open_vault
from isthmus.errors import AuditUnavailable, ConfigInvalid
from isthmus.governance import logs
from isthmus.governance.audit.commitments import commitment
from isthmus.governance.audit.reading.reader import Reader as LogReader
from isthmus.governance.audit.witness.client import witness_client
from isthmus.governance.audit.witness.witnessed import Witnessed
from isthmus.governance.audit.witness.witnessing import Witnessing
from isthmus.governance.audit.writing.log import Log
from isthmus.governance.audit.writing.rotating import Rotated
from isthmus.governance.audit.writing.sequencer import record
from isthmus.governance.history import History
from isthmus.governance.policy.folder import PolicyFolder
from isthmus.governance.policy.policyset import policy_folder
from isthmus.governance.settings import Form, form
from isthmus.guardrails.loading import Guards, load_guards, versions
from isthmus.labels import Label
from isthmus.messages import ChatRequest, Passage
from isthmus.models import catalogue
from isthmus.models.provider import ProviderContext, Providers
from isthmus.models.wrappers.admit import Admitted, AdmittedEmbedder
from isthmus.models.wrappers.breaker import Breaking
from isthmus.models.wrappers.concurrency import Limited
from isthmus.models.wrappers.deadline import Deadline
from isthmus.models.wrappers.retry import Retrying
from isthmus.orchestration.admission import MET
from isthmus.orchestration.answer import Caller
from isthmus.orchestration.changes import Changes, Origin
from isthmus.orchestration.close import Closer
from isthmus.orchestration.embedding import RecordedEmbedder
from isthmus.orchestration.erasure import Erasures
from isthmus.orchestration.filing import Filing
from isthmus.orchestration.ground import Grounder
from isthmus.orchestration.ingest import Ingest
from isthmus.orchestration.label import Labeller
from isthmus.orchestration.pipeline import Pipeline
from isthmus.orchestration.record import Recorder
from isthmus.orchestration.release import Release
from isthmus.orchestration.retention import Custodian, Retention
from isthmus.orchestration.router.stated import StatedRouter
from isthmus.principals import Principal, operator
from isthmus.retrieval.attribution import attribute
from isthmus.retrieval.citations import CitationFilter
from isthmus.retrieval.retriever import HybridRetriever
from isthmus.seams import ChatModel, Embedder, Event, HttpRequest, HttpResponse, Part, Transport

_log = logging.getLogger("isthmus")


class Http:
    """The transport as a part. The client is imported with the first call: who has no closed model never pays."""

    def __init__(self) -> None:
        self._client: Transport | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        if self._client is None:
            from isthmus.models.transport import AiohttpTransport

            self._client = AiohttpTransport()
        return await self._client.send(request)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def start(self) -> None:
        """Connections open when they are needed."""

    async def stop(self) -> None:
        await self.close()


class Reading:
    """The log's storage as a part: it opens when it is first read, and is closed once nobody reads it any more."""

    def __init__(self, storage: logs.Readable) -> None:
        self._storage = storage

    async def start(self) -> None:
        """It opens when it is needed."""

    async def stop(self) -> None:
        await asyncio.to_thread(self._storage.close)


def make_home(home: Home) -> None:
    """The home folder, mode 700. Raises :class:`ConfigInvalid` where it cannot be made."""
    try:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigInvalid(
            f"The home folder {home.path} cannot be made: {error.strerror}.",
            hint="Name another one with `isthmus --home DIR …` or ISTHMUS_HOME.",
        ) from error


class Parts:
    """What the stack is made of, each part made when it is first needed, and started and stopped in order."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self.settings, self.home = settings, home
        self.clock = SystemClock()
        make_home(home)

    def today(self) -> date:
        return self.clock.now().date()

    @cached_property
    def cards(self) -> dict[str, Card]:
        return catalogue.cards(self.settings, self.home, self.today())

    @cached_property
    def database(self) -> Database:
        return Database(self.home.database)

    @cached_property
    def log(self) -> Log:
        return Log(logs.sequencer(self.settings, self.home, self.clock.now))

    @cached_property
    def storage(self) -> logs.Readable:
        """The log as its readers see it."""
        return logs.storage(self.settings, self.home)

    @cached_property
    def reading(self) -> Reading:
        return Reading(self.storage)

    @cached_property
    def witnessed(self) -> Witnessed:
        """The newest checkpoint that witnesses cosigned."""
        return Witnessed(logs.beside(self.settings, self.home))

    @cached_property
    def witnessing(self) -> Witnessing:
        audit = self.settings.audit
        witnesses = [witness_client(one.url, one.vkey, self.http, self.storage) for one in audit.witnesses]
        return Witnessing(witnesses, self.storage, self.log, self.witnessed, (self.clock, audit.witness_every))

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(self.log, self.vault)

    @cached_property
    def vault(self) -> Vault:
        return open_vault(self.database, self.home, commitment, self.clock.now)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(self.vault, self.log, lambda: LogReader(self.storage), self.clock)

    @cached_property
    def retention(self) -> Retention:
        return Retention(self.vault, self.log, self.clock, self.settings.audit.content_days)

    @cached_property
    def custodian(self) -> Custodian:
        return Custodian(self.erasures, self.retention, self.clock)

    @cached_property
    def policy(self) -> PolicyFolder:
        return PolicyFolder(policy_folder(self.settings, self.home), self.today)

    @cached_property
    def changes(self) -> Changes:
        history = History(lambda: LogReader(self.storage), Places(self.database))
        return Changes(self.log, history, self.policy)

    @cached_property
    def form(self) -> Form:
        """The configuration as the record shows it."""
        return form(self.settings)

    @cached_property
    def keys(self) -> Keys:
        return open_keys(self.database, self.home)

    @cached_property
    def provenance(self) -> StoredProvenance:
        return StoredProvenance(self.database, fingerprint_key(self.database, self.home), self.clock.now)

    @cached_property
    def documents(self) -> Documents:
        return Documents(self.database, self.clock.now, self.provenance.index)

    @cached_property
    def guards(self) -> Guards:
        return load_guards(self.settings.guardrails)

    @cached_property
    def providers(self) -> Providers:
        return Providers(ProviderContext(self.home, self.http, self.clock, self.settings.runtime))

    @cached_property
    def http(self) -> Http:
        return Http()

    @cached_property
    def models(self) -> dict[str, ChatModel]:
        named = catalogue.models(self.settings)
        return {card.id: self._model(named[card.id], card) for card in self.cards.values() if card.kind == "chat"}

    def _model(self, settings: ModelSettings, card: Card) -> ChatModel:
        """Asked at the door, and again at each try: what policy refuses meanwhile is not tried again."""
        inner = Admitted(Breaking(self.providers.chat(settings, card), self.clock), self.policy, MET)
        model: ChatModel = Deadline(Retrying(inner, self.clock), settings.timeout)
        if settings.concurrency is not None:
            model = Limited(model, settings.concurrency)
        return Admitted(model, self.policy, MET)

    @cached_property
    def embedders(self) -> dict[str, Embedder]:
        named = catalogue.models(self.settings)
        return {
            card.id: AdmittedEmbedder(self.providers.embedder(named[card.id], card), self.policy, MET)
            for card in self.cards.values()
            if card.kind == "embedding"
        }

    @cached_property
    def embedder(self) -> Embedder:
        """The one that knowledge is embedded with."""
        name = self.settings.knowledge.embedder
        if name not in self.embedders:
            raise ConfigInvalid(f"knowledge.embedder names {name!r}, which is no embedding model of the catalogue.")
        return RecordedEmbedder(self.embedders[name], self.policy, self.recorder)

    @cached_property
    def retriever(self) -> HybridRetriever:
        return HybridRetriever(Passages(self.database), self.embedder)

    @cached_property
    def ingest(self) -> Ingest:
        filing = Filing(self.log, self.vault)
        return Ingest(self.documents, self.embedder, self.guards.input, filing, self.reader, self.settings.knowledge)

    @cached_property
    def reader(self) -> Reader:
        return Reader()

    @cached_property
    def pipeline(self) -> Pipeline:
        limits = MonthlyBudgets(self.database, self.clock.now)
        knowledge, routing = self.settings.knowledge, self.settings.routing
        trust = self.settings.labels.unknown_answers == "typed"
        most = self.settings.server.max_prompt_characters
        guards = self.guards.input
        return Pipeline(
            cards=self.cards,
            labeller=Labeller(guards, self.provenance, trust_answers=trust, most=most),
            grounder=Grounder(self.retriever, guards, limit=knowledge.passages, tokens=knowledge.passage_tokens),
            policy=self.policy,
            router=StatedRouter(routing.prefer, routing.failover),
            caller=Caller(self.models, self.recorder, limits),
            embedders=self.embedders,
            release=self._release,
            recorder=self.recorder,
            closer=Closer(self.recorder, self.provenance, limits, attribute),
        )

    def _release(self, request: ChatRequest, passages: Iterable[Passage]) -> Release:
        cited = tuple(passages)
        stage = CitationFilter(cited) if cited and request.format is None else None
        return Release(self.guards.window, stage)


class Stack:
    """A stack that can be started: what the server and the command line hold."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.settings, self.home = parts.settings, parts.home
        self.cards: Mapping[str, Card] = parts.cards
        self.keys, self.log, self.pipeline = parts.keys, parts.log, parts.pipeline
        self.storage, self.witnessed = parts.storage, parts.witnessed
        self._witnessing = [parts.witnessing] if parts.settings.audit.witnesses else []
        self.checks: Mapping[str, Callable[[], object]] = {
            "audit": parts.log.check,
            "policy": lambda: parts.policy.hash,
            "store": lambda: parts.database.version("documents"),
        }
        defaults = parts.settings.labels
        self.typed_default = label(defaults.default)
        self._id, self._announced = f"srv_{secrets.token_hex(6)}", False
        self._purposes = {name: label(own) for name, own in defaults.purposes.items()}

    def typed(self, principal: Principal, purpose: str) -> Label:
        """What this principal types for this purpose: the key's default, which a purpose can only raise."""
        raised = self._purposes.get(purpose)
        return principal.default if raised is None else principal.default.join(raised)

    async def start(self, command: str = "serve", why: str = "") -> None:
        """Start every part, the log first, and record what of configuration and policy is new to it."""
        for part in self._started():
            await part.start()
        await self._parts.changes.begin(self._parts.form, Origin(operator(), why, command))
        if token := os.environ.get("ISTHMUS_BOOTSTRAP_KEY", ""):
            with recorded_keys(self.settings, self.home) as keys:
                principal = keys.bootstrap(token)
            await self.log.append({"type": "key.bootstrap", "by": operator(), "key": principal.id}, flush=True)

    async def announce(self) -> None:
        """Say in the log with what a server begins to answer."""
        facts = {
            "server": self._id,
            "by": operator(),
            "version": __version__,
            "python": platform.python_version(),
            "config": self._parts.form.digest,
            "policy": self._parts.policy.hash,
            "guards": versions(self.settings.guardrails),
            "models": {card.id: card.digest for card in self.cards.values()},
        }
        await self.log.append({"type": "server.started", **facts}, flush=True)
        self._announced = True

    async def stop(self) -> None:
        """Stop every part, in the opposite order, even if one fails to."""
        if self._announced:
            with suppress(AuditUnavailable):  # an end that cannot be recorded is an end all the same
                await self.log.append({"type": "server.stopped", "server": self._id}, flush=True)
        for part in reversed(self._started()):
            try:
                await part.stop()
            except Exception:  # noqa: BLE001 - whatever it is, the others must be stopped
                _log.exception("%s could not be stopped", type(part).__name__)

    def _started(self) -> list[Part]:
        parts = self._parts
        return [
            parts.reading,
            parts.log,
            parts.custodian,
            parts.provenance,
            parts.guards,
            *parts.providers,
            parts.http,
            *self._witnessing,
        ]

    async def reload_policy(self, by: str, why: str = "") -> str:
        """Put the policy folder's content in force, once that is recorded; its hash. Raises
        :class:`isthmus.errors.PolicyInvalid`, and then the old set stays."""
        return await self._parts.changes.reload(Origin(by, why, "reload"))


def build(settings: Settings, home: Home) -> Stack:
    """The whole stack, not yet started. Raises :class:`ConfigInvalid` and :class:`PolicyInvalid`."""
    return Stack(Parts(settings, home))


@asynccontextmanager
async def ingest(settings: Settings, home: Home) -> AsyncIterator[Ingest]:
    """What brings documents in, for as long as the block lasts. A server may run beside it."""
    parts = Parts(settings, home)
    work, needed = parts.ingest, [parts.reading, parts.log, parts.guards, *parts.providers, parts.reader, parts.http]
    async with _running(needed):
        await _begin(parts, "ingest")
        yield work


@asynccontextmanager
async def embedder(settings: Settings, home: Home) -> AsyncIterator[Embedder]:
    """The admitted embedder, for as long as the block lasts."""
    parts = Parts(settings, home)
    found = parts.embedder
    async with _running([parts.reading, parts.log, *parts.providers, parts.http]):
        await _begin(parts, "retrieve")
        yield found


@dataclass(frozen=True, slots=True)
class Custody:
    """What the command line does with content that was kept; ``reader`` opens the log."""

    vault: Vault
    erasures: Erasures
    retention: Retention
    log: Log
    reader: Callable[[], LogReader]


@asynccontextmanager
async def custody(settings: Settings, home: Home) -> AsyncIterator[Custody]:
    """The vault and the log, for as long as the block lasts. A server may run beside it. What the log says is erased
    is erased before anything is opened, also in a database that was restored."""
    parts = Parts(settings, home)
    found = Custody(parts.vault, parts.erasures, parts.retention, parts.log, lambda: LogReader(parts.storage))
    try:
        async with _running([parts.reading, parts.log]):
            await parts.erasures.follow()
            yield found
    finally:
        parts.database.close()


@contextmanager
def recorded_keys(settings: Settings, home: Home) -> Iterator[Keys]:
    """Keys whose every change is an entry of the log before it counts."""
    with recorded(settings, home) as record:
        database = Database(home.database)
        try:
            vault = open_vault(database, home, commitment, SystemClock().now)
            yield open_keys(database, home, record, vault.commit_in)
        finally:
            database.close()


@contextmanager
def recorded(settings: Settings, home: Home) -> Iterator[Callable[[Event], object]]:
    """What puts an event into the log, on disk, for a command that changes what the endpoint will do. It raises
    :class:`AuditUnavailable`: then the command changes nothing."""
    make_home(home)
    with closing(logs.sequencer(settings, home, SystemClock().now)) as sequencer:
        yield partial(record, sequencer)


def rotate_key(settings: Settings, home: Home, why: str) -> Rotated:
    """Give the log a new signing key; a server may run beside it. Raises :class:`AuditUnavailable`."""
    return logs.rotate(settings, home, SystemClock().now, by=operator(), why=why)


async def _begin(parts: Parts, command: str) -> None:
    """The configuration and the policy of a command that works beside a server are recorded like a server's."""
    await parts.changes.begin(parts.form, Origin(operator(), os.environ.get("ISTHMUS_WHY", ""), command))


@asynccontextmanager
async def _running(parts: Sequence[Part]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for part in parts:
            await part.start()
            stack.push_async_callback(part.stop)
        yield


def label(settings: LabelSettings) -> Label:
    """A label as the file writes it."""
    return Label.parse(msgspec.to_builtins(settings))
