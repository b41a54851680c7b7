"""Files into the store: read, label, guard, embed, record, store; one document is one transaction.

The label of a document is its collection's joined with the one given; each chunk's is that joined with what the guards
say of it, so it can only climb. Whatever a file's bytes do, the next file is read; what is not recorded is not stored.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import msgspec

from isthmus.config import CollectionSettings, KnowledgeSettings
from isthmus.data.files import Found, Root, digest, explore, gone, read
from isthmus.data.parsing.reader import Reader, Reading
from isthmus.errors import (
    AuditUnavailable,
    DocumentRejected,
    GuardBlocked,
    InvalidRequest,
    IsthmusError,
    StoreUnavailable,
)
from isthmus.labels import INTERNAL, Label, join
from isthmus.messages import EmbedRequest, Text
from isthmus.orchestration.filing import Filed, Filing
from isthmus.orchestration.label import check
from isthmus.principals import Principal
from isthmus.seams import Documents, Embedder, Guard, NewChunk, NewDocument, StoredDocument

_BATCH = 32
Status: TypeAlias = Literal["added", "updated", "unchanged", "deleted", "rejected", "skipped"]
#: Called before each file: what is about to be read, how many are done, how many there are.
Progress: TypeAlias = Callable[[str, int, int], None]


class Store(Documents, Protocol):
    """``purge`` finishes deletes: the words of deleted text leave the index and the log of the database too."""

    def purge(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Spec:
    """What the files become. ``label`` is joined with the collection's; ``groups`` may read (empty: the collection's,
    and where that names none, everyone)."""

    collection: str
    principal: Principal
    label: Label | None = None
    groups: frozenset[str] = frozenset()
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file. ``error`` has ``code``, ``message`` and ``hint``; ``label`` is the highest of its
    chunks; ``notes`` say what of it could not be read."""

    source: str
    status: Status
    document: str = ""
    chunks: int = 0
    label: Label | None = None
    error: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        plain: dict[str, object] = {"source": self.source, "status": self.status}
        if self.document:
            plain |= {"document": self.document, "chunks": self.chunks}
        if self.label is not None:
            plain["label"] = self.label.as_dict()
        return plain | ({"error": dict(self.error)} if self.error else {}) | (
            {"notes": list(self.notes)} if self.notes else {}
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """One result a file, in the order in which they were read."""

    results: tuple[FileResult, ...]

    def count(self, status: Status) -> int:
        return sum(1 for result in self.results if result.status == status)

    @property
    def failed(self) -> bool:
        return self.count("rejected") > 0

    def as_dict(self) -> dict[str, object]:
        statuses: tuple[Status, ...] = ("added", "updated", "unchanged", "deleted", "rejected", "skipped")
        counts: dict[str, object] = {status: self.count(status) for status in statuses}
        return {**counts, "chunks": sum(result.chunks for result in self.results),
                "files": [result.as_dict() for result in self.results]}  # fmt: skip

    def __add__(self, other: Report) -> Report:
        return Report(self.results + other.results)


class Ingest:
    """Give it an embedder that is wrapped by ``admit``, and the guards of stage ``ingest``."""

    def __init__(
        self,
        documents: Store,
        embedder: Embedder,
        guards: Sequence[Guard],
        filing: Filing,
        reader: Reader,
        settings: KnowledgeSettings,
    ) -> None:
        self._documents = documents
        self._embedder = embedder
        self._guards = tuple(guards)
        self._filing = filing
        self._reader = reader
        self._settings = settings

    async def ingest(self, paths: Sequence[Path], spec: Spec, progress: Progress | None = None) -> Report:
        """Bring the store in line with the files. Files that have gone from a folder named here are deleted.

        Raises :class:`Forbidden` without the role ``curator``, :class:`InvalidRequest` for groups wider than the
        collection's, and where nothing can go on: :class:`AuditUnavailable`, :class:`StoreUnavailable`.
        """
        spec.principal.require("curator")
        place = _Place(spec, *self._settled(spec))
        roots = [await asyncio.to_thread(explore, path) for path in paths]
        found = list({one.source: one for root in roots for one in root.found}.values())
        results = []
        for done, one in enumerate(found):
            if progress is not None:
                progress(one.source, done, len(found))
            results.append(await self._file(one, place))
        results += await self._delete_gone(roots, place)
        await self._finish(results, place)
        return Report(tuple(results))

    def _settled(self, spec: Spec) -> tuple[Label, frozenset[str]]:
        """The document's label and readers. A collection that is not configured is internal unless told."""
        known = self._settings.collections.get(spec.collection)
        if known is None:
            return (INTERNAL if spec.label is None else spec.label), spec.groups
        least = Label.parse(msgspec.to_builtins(known.label))
        return least if spec.label is None else least.join(spec.label), _readers(spec, known)

    async def _file(self, found: Found, place: _Place) -> FileResult:
        """One file; whatever is wrong with it is its own result."""
        if found.problem:
            status: Status = "skipped" if found.link else "rejected"
            return FileResult(found.source, status, error=DocumentRejected(found.problem, hint="").as_dict())
        stored = await asyncio.to_thread(self._documents.find, place.spec.collection, found.source)
        try:
            return await self._update(found, stored, place)
        except (AuditUnavailable, StoreUnavailable):
            raise
        except IsthmusError as error:
            notes = await self._withdraw(stored, error, place)
            return FileResult(found.source, "rejected", error=error.as_dict(), notes=notes)

    async def _update(self, found: Found, stored: StoredDocument | None, place: _Place) -> FileResult:
        # (1) Read the bytes; a file that is as it was, under the label and readers that it had, is left alone.
        data = await asyncio.to_thread(read, found.path, self._settings.max_file_bytes)
        fingerprint = digest(data)
        if stored is not None and place.keeps(stored) and stored.digest == fingerprint:
            return FileResult(found.source, "unchanged", stored.id)
        # (2) Parse and cut, in another process.
        reading = await self._reader.read(data, Path(found.source).name)
        # (3) Guard every chunk; (4) embed it under the label that came out.
        labels = await self._labels(reading, place.label)
        chunks = await self._embed(reading, labels, place.spec)
        # (5) Record the intent, on disk; (6) store in one transaction; (7) record the outcome.
        change: Status = "added" if stored is None else "updated"
        facts = await self._filing.facts(place.filed(found.source, fingerprint)) | {
            "label": place.label.as_dict(),
            "highest": join(labels).as_dict(),
            "groups": sorted(place.groups),
            "chunks": len(chunks),
        }
        await self._filing.intended(facts, change)
        document = await asyncio.to_thread(self._documents.put, place.document(found, fingerprint, reading, chunks))
        await self._filing.done(facts, change, document)
        return FileResult(found.source, change, document, len(chunks), join(labels), notes=reading.parsed.notes)

    async def _labels(self, reading: Reading, base: Label) -> list[Label]:
        """One label a chunk: the base, what guards find in it, and what they find in the title and headings that
        travel with it."""
        contexts: dict[str, Label] = {}
        labels = []
        for chunk in reading.chunks:
            context = _context(reading.parsed.title, chunk.headings)
            if context not in contexts:
                contexts[context] = (await check(self._guards, context, "ingest")).label
            verdict = await check(self._guards, chunk.text, "ingest")
            labels.append(base.join(contexts[context]).join(verdict.label))
        return labels

    async def _embed(self, reading: Reading, labels: Sequence[Label], spec: Spec) -> tuple[NewChunk, ...]:
        made: list[NewChunk] = []
        pairs = list(zip(reading.chunks, labels, strict=True))
        for start in range(0, len(pairs), _BATCH):
            batch = pairs[start : start + _BATCH]
            texts = tuple(
                Text(f"{_context(reading.parsed.title, chunk.headings)}\n{chunk.text}", label, "passage")
                for chunk, label in batch
            )
            id = f"ingest_{secrets.token_hex(8)}"
            request = EmbedRequest(id, spec.principal, self._embedder.card.id, texts, collection=spec.collection)
            vectors = (await self._embedder.embed(request)).vectors
            made += [
                NewChunk(chunk.text, chunk.start, chunk.end, chunk.page, chunk.headings, label, vector)
                for (chunk, label), vector in zip(batch, vectors, strict=True)
            ]
        return tuple(made)

    async def _withdraw(self, stored: StoredDocument | None, error: IsthmusError, place: _Place) -> tuple[str, ...]:
        """The version in the store must not outlive what it came from, nor keep a label that was to be changed."""
        if stored is None:
            return ()
        if place.keeps(stored) and not isinstance(error, DocumentRejected | GuardBlocked):
            return ("The version that was stored before stays.",)
        await self._delete(stored, place)
        return ("The version that was stored before is deleted.",)

    async def _delete_gone(self, roots: Sequence[Root], place: _Place) -> list[FileResult]:
        stored = await asyncio.to_thread(self._documents.list, None, place.spec.collection)
        by_source = {document.source: document for document in stored}
        sources = sorted({source for root in roots for source in gone(root, by_source)})
        for source in sources:
            await self._delete(by_source[source], place)
        return [FileResult(source, "deleted", by_source[source].id) for source in sources]

    async def _delete(self, stored: StoredDocument, place: _Place) -> None:
        facts = await self._filing.facts(place.filed(stored.source, stored.digest))
        await self._filing.intended({**facts, "document": stored.id}, "deleted")
        await asyncio.to_thread(self._documents.delete, stored.id)
        await self._filing.done(facts, "deleted", stored.id)

    async def _finish(self, results: Sequence[FileResult], place: _Place) -> None:
        """Words of text that was replaced or deleted leave the disk; what was recorded reaches it."""
        if any(result.status in ("updated", "deleted", "rejected") for result in results):
            await asyncio.to_thread(self._documents.purge)
        report = Report(tuple(results)).as_dict()
        counts = {name: number for name, number in report.items() if name != "files"}
        await self._filing.finished(place.spec.principal.id, place.spec.collection, counts)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where documents go: the spec, and the label and readers that came out of it."""

    spec: Spec
    label: Label
    groups: frozenset[str]

    def keeps(self, stored: StoredDocument) -> bool:
        """Whether the stored document has the label and the readers that are asked for."""
        return stored.label == self.label and stored.groups == self.groups

    def filed(self, source: str, fingerprint: str) -> Filed:
        return Filed(self.spec.principal.id, self.spec.collection, source, fingerprint)

    def document(self, found: Found, fingerprint: str, reading: Reading, chunks: tuple[NewChunk, ...]) -> NewDocument:
        parsed, spec = reading.parsed, self.spec
        return NewDocument(
            spec.collection, found.source, parsed.title, parsed.media_type, fingerprint, parsed.text,
            self.label, self.groups, spec.principal.id, chunks, spec.licence, spec.attribution,
        )  # fmt: skip


def _readers(spec: Spec, known: CollectionSettings) -> frozenset[str]:
    """The collection's readers are the widest: a document may name fewer of them, never others."""
    allowed = frozenset(known.groups)
    if allowed and not spec.groups <= allowed:
        raise InvalidRequest(
            f"The collection {spec.collection!r} may be read by {', '.join(sorted(allowed))} only.",
            hint="Name groups among these, or change knowledge.collections in isthmus.yaml.",
        )
    return spec.groups or allowed


def _context(title: str, headings: Sequence[str]) -> str:
    """Title and headings, each once, as they are embedded before the chunk's text."""
    return "\n".join(dict.fromkeys((title, *headings)))
