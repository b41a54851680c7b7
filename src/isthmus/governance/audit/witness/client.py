"""One witness, as a log asks it: C2SP tlog-witness (https://c2sp.org/tlog-witness) over the transport seam."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from isthmus.errors import ConfigInvalid, IsthmusError, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier
from isthmus.governance.audit.notes.note import LARGEST, Note, Signature, signatures
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.storage import Storage
from isthmus.governance.audit.tree.stored import StoredTree
from isthmus.governance.audit.witness.submission import SIZE, Submission
from isthmus.seams import HttpRequest, HttpResponse, Transport

Proof: TypeAlias = tuple[bytes, ...]

_TIMEOUT_S = 10.0
#: A witness that is asked again and again says another size each time: other processes ask it too.
_TRIES = 5


class WitnessFailed(Exception):
    """No cosignature this time: the witness cannot be reached, or answers something else."""


class WitnessRefused(Exception):
    """The witness cosigned another tree than this one. ``cosigned``: the size that it holds, where it said so."""

    def __init__(self, status: int, cosigned: int | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.cosigned = status, cosigned


class WitnessAhead(Exception):
    """The witness cosigned ``size`` entries, more than the checkpoint has."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it cosigned {size} entries")
        self.size = size


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    kind: str
    body: str

    @property
    def size(self) -> int | None:
        """What a 409 says that the witness holds."""
        text = self.body.removesuffix("\n")
        sized = self.status == 409 and self.kind == SIZE and text.isascii() and text.isdecimal() and len(text) < 20
        return int(text) if sized else None


class WitnessClient:
    """``url`` is the witness's submission prefix, ``verifier`` the key that it is trusted under; ``prove`` gives
    PROOF(old, D[new]) of the log, RFC 6962 section 2.1.2, and may block."""

    def __init__(
        self, url: str, verifier: CosignatureVerifier, transport: Transport, prove: Callable[[int, int], Proof]
    ) -> None:
        self.verifier, self._transport, self._prove = verifier, transport, prove
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._size = 0  # what the witness holds; it says so where it is another

    async def cosign(self, note: Note, rotations: list[bytes]) -> tuple[Signature, ...]:
        """The witness's cosignatures of a checkpoint, verified. The rotations of the log's key are submitted to a
        witness that does not know the key.

        Raises :class:`WitnessFailed`, :class:`WitnessRefused`, :class:`WitnessAhead`.
        """
        reply = await self._offer(note)
        if reply.status == 403:
            for rotation in map(Note.parse, rotations):
                if Checkpoint.parse(rotation.body).size >= self._size:
                    await self._offer(rotation)
            reply = await self._offer(note)
        if reply.status in (409, 422):
            raise WitnessRefused(reply.status, reply.size)
        if reply.status != 200:
            raise WitnessFailed(f"it answered with HTTP {reply.status}")
        return self._verified(note, reply)

    async def _offer(self, note: Note) -> Reply:
        """Submit a checkpoint from the size that the witness holds, which it says where it is another."""
        size = Checkpoint.parse(note.body).size
        for _ in range(_TRIES):
            if self._size > size:
                raise WitnessAhead(self._size)
            old = self._size
            proof = await asyncio.to_thread(self._prove, old, size)
            reply = await self._post(bytes(Submission(old, proof, note)))
            if reply.status == 200:
                self._size = size
            if reply.size in (None, old):
                return reply
            self._size = reply.size or 0
        raise WitnessFailed("it says another size each time")

    def _verified(self, note: Note, reply: Reply) -> tuple[Signature, ...]:
        try:
            found = self.verifier.signatures(Note(note.body, signatures(reply.body)))
        except VerificationFailed as error:
            raise WitnessFailed(f"its cosignature does not hold: {error.message}") from None
        if not found:
            raise WitnessFailed("it did not cosign with the key that the configuration names")
        return found

    async def _post(self, body: bytes) -> Reply:
        try:
            response = await self._transport.send(HttpRequest("POST", self._url, {}, body, _TIMEOUT_S))
            try:
                return Reply(response.status, _kind(response), await _text(response))
            finally:
                await response.close()
        except (IsthmusError, OSError) as error:
            raise WitnessFailed("it cannot be reached") from error


def witness_client(url: str, vkey: str, transport: Transport, storage: Storage) -> WitnessClient:
    """A witness as the configuration names it, for the log in ``storage``. Raises :class:`ConfigInvalid`."""
    try:
        verifier = CosignatureVerifier.parse(vkey)
    except VerificationFailed as error:
        raise ConfigInvalid(
            f"audit.witnesses: {vkey!r} is no key of a witness. {error.message}",
            hint="It is one line, NAME+ID+KEY: the witness prints it when it starts, and says it at its address.",
        ) from None
    tree = StoredTree(storage)
    return WitnessClient(url, verifier, transport, lambda old, new: merkle.consistency_proof(old, new, tree.node))


def _kind(response: HttpResponse) -> str:
    kind = next((value for name, value in response.headers.items() if name.lower() == "content-type"), "")
    return kind.partition(";")[0].strip().lower()


async def _text(response: HttpResponse) -> str:
    body = b""
    async for chunk in response.chunks():
        body += chunk
        if len(body) > LARGEST:
            raise WitnessFailed("its answer is too long")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise WitnessFailed("its answer is not text") from None
