"""Entries of content that is kept, and of its end."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.governance.catalogue.common import ABSENT, By, Count, Entry, Maybe, Request, Why


class _OfSubject(Entry, frozen=True, kw_only=True):
    subject: Annotated[str, Meta(description="Whose: a principal's pseudonym.")]
    generation: Annotated[str, Meta(description="Which secret of the subject it is that is destroyed.")]
    by: By
    why: Why
    records: Annotated[Count, Meta(description="How many records of kept content it concerns.")]


class ErasureRequested(_OfSubject, frozen=True, kw_only=True, tag="erasure.requested"):
    """A subject is about to be erased; on disk before it is, so that it is finished whatever happens."""


class SubjectErased(_OfSubject, frozen=True, kw_only=True, tag="subject.erased"):
    """A subject's keys and salts are destroyed: its commitments tell nothing now, and what was kept cannot be
    opened."""

    again: Annotated[bool | Maybe, Meta(description="True where a restored database had brought it back.")] = ABSENT


class ContentExpired(Entry, frozen=True, kw_only=True, tag="content.expired"):
    """Kept content has reached its age and is about to be destroyed."""

    records: Annotated[Count, Meta(description="How many records.")]
    before: Annotated[str, Meta(description="All that was kept before this moment.")]
    days: Annotated[Count, Meta(description="The age that the configuration says.")]


class ContentOpened(Entry, frozen=True, kw_only=True, tag="content.opened"):
    """Somebody is about to read what was kept of a request."""

    request: Request
    by: By
    why: Why


class ContentDisclosed(Entry, frozen=True, kw_only=True, tag="content.disclosed"):
    """Somebody is given the salt of a request, to prove what was said in it."""

    request: Request
    by: By


TYPES = (ErasureRequested, SubjectErased, ContentExpired, ContentOpened, ContentDisclosed)
