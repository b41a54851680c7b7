"""Entries of documents: what is brought in, replaced and deleted. No name, no title, no path."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from isthmus.governance.catalogue.common import (
    ABSENT,
    Collection,
    Count,
    Entry,
    Hash,
    Label,
    Maybe,
    Principal,
)  # fmt: skip


class _OfDocument(Entry, frozen=True, kw_only=True):
    principal: Annotated[Principal, Meta(description="Who brought it in: a key's id, or `local`.")]
    collection: Collection
    source: Annotated[Hash, Meta(description="The commitment to its path; the same for each of its versions.")]
    digest: Annotated[Hash, Meta(description="The commitment to `sha256:…` of the file's bytes.")]


class _Written(_OfDocument, frozen=True, kw_only=True):
    document: Annotated[str, Meta(description="The document's id.")]
    label: Annotated[Label, Meta(description="The document's label.")]
    highest: Annotated[Label, Meta(description="The join of the labels of its chunks, which guards may have raised.")]
    groups: Annotated[list[str], Meta(description="Who may read it; empty: everyone.")]
    chunks: Count


class Intended(_OfDocument, frozen=True, kw_only=True, tag="document.intent"):
    """A document is about to be stored or deleted; on disk before it is."""

    change: Literal["added", "updated", "deleted"]
    label: Label | Maybe = ABSENT
    highest: Label | Maybe = ABSENT
    groups: Annotated[list[str] | Maybe, Meta(description="Who may read it; empty: everyone.")] = ABSENT
    chunks: Count | Maybe = ABSENT
    document: Annotated[str | Maybe, Meta(description="The id of one to be deleted.")] = ABSENT


class Added(_Written, frozen=True, kw_only=True, tag="document.added"):
    """A document is in the store."""


class Updated(_Written, frozen=True, kw_only=True, tag="document.updated"):
    """A document took the place of its earlier version, or of its label or readers."""


class Deleted(_OfDocument, frozen=True, kw_only=True, tag="document.deleted"):
    """A document is gone from the store."""

    document: Annotated[str, Meta(description="The document's id.")]


class IngestFinished(Entry, frozen=True, kw_only=True, tag="ingest.finished"):
    """A run of `isthmus ingest` over one collection, in numbers of files."""

    principal: Annotated[Principal, Meta(description="Who ran it: a key's id, or `local`.")]
    collection: Collection
    added: Count
    updated: Count
    unchanged: Count
    deleted: Count
    rejected: Count
    skipped: Count
    chunks: Annotated[Count, Meta(description="Chunks of what was added or updated.")]


TYPES = (Intended, Added, Updated, Deleted, IngestFinished)
