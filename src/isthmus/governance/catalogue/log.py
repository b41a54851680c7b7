"""Entries of the log about itself."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.governance.catalogue.common import By, Count, Entry, Why


class KeyRotated(Entry, frozen=True, kw_only=True, tag="log.key_rotated"):
    """Another key signs for the log from here on; this is the last entry that the old one signs for."""

    old: Annotated[str, Meta(description="The old verifier key (vkey).")]
    new: Annotated[str, Meta(description="The new one.")]
    by: By
    why: Why


class Repaired(Entry, frozen=True, kw_only=True, tag="log.repaired"):
    """A record whose writer died in the middle of it was cut off. Nobody was told that it was written."""

    index: Annotated[Count, Meta(description="The number that it would have had.")]
    bytes: Annotated[Count, Meta(description="How many bytes of it were there.")]


class Recovered(Entry, frozen=True, kw_only=True, tag="log.recovered"):
    """The log can be written again. Meanwhile nothing was answered: whoever asked was refused."""

    seconds: Annotated[Count, Meta(description="How long it could not be written, to this process's knowledge.")]
    refused: Annotated[Count, Meta(description="How many entries could not be written, or not put on disk.")]


class WitnessRefused(Entry, frozen=True, kw_only=True, tag="witness.refused"):
    """A witness does not cosign: what it has cosigned before is not what the log holds now. An alarm, recorded once
    until it cosigns again."""

    witness: Annotated[str, Meta(description="The witness's verifier key (vkey).")]
    status: Annotated[int, Meta(description="The HTTP status that it answered with.")]
    size: Annotated[Count, Meta(description="The size of the checkpoint that it was asked to cosign.")]
    cosigned: Annotated[Count | None, Meta(description="The size that it cosigned last, where it tells.")]


TYPES = (KeyRotated, Repaired, Recovered, WitnessRefused)
