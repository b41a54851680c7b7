"""What the log says of documents that come and go: whose, where to, under which label, and what became of them.

A document's path and its bytes are committed to under its owner's salt, like a prompt: without the salt nobody can
tell which document an entry means by trying names. The same document of the same owner has the same commitments, so
that its versions can be followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.seams import AuditLog, Vault


@dataclass(frozen=True, slots=True)
class Filed:
    """A document, as the log may know it: ``digest`` is ``sha256:…`` of the file."""

    owner: str
    collection: str
    source: str
    digest: str


class Filing:
    """Writes the events of documents. Raises what the log and the vault raise: then nothing is stored or deleted."""

    def __init__(self, log: AuditLog, vault: Vault) -> None:
        self._log, self._vault = log, vault

    async def facts(self, filed: Filed) -> dict[str, object]:
        """What every event of this document says."""
        salt = f"document/{filed.collection}/{filed.source}"
        return {
            "principal": filed.owner,
            "collection": filed.collection,
            "source": await self._vault.commit(filed.owner, salt, filed.source),
            "digest": await self._vault.commit(filed.owner, salt, filed.digest),
        }

    async def intended(self, facts: Mapping[str, object], change: str) -> None:
        """What is about to be done; on disk on return."""
        await self._log.append({**facts, "type": "document.intent", "change": change}, flush=True)

    async def done(self, facts: Mapping[str, object], change: str, document: str) -> None:
        """What was done; the run's end flushes it."""
        await self._log.append({**facts, "type": f"document.{change}", "document": document}, flush=False)

    async def finished(self, owner: str, collection: str, counts: Mapping[str, object]) -> None:
        """The end of a run, on disk, and all before it."""
        event = {"type": "ingest.finished", "principal": owner, "collection": collection}
        await self._log.append({**event, **counts}, flush=True)
