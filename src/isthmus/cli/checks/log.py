"""The audit log: that it holds, that its key is there, and that its witnesses answer."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

from isthmus.cli.checks.finding import Finding, Setup
from isthmus.config import WitnessSettings
from isthmus.errors import IsthmusError, NotFound, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.storage import VKEY
from isthmus.governance.audit.writing.keys import coming, load_key
from isthmus.governance.logs import signing_key, storage

#: A log up to this size is read whole; a longer one would keep people waiting.
_QUICK = 100_000
_PATIENCE_S = 3
_OTHER = "Keep it: it is evidence. Export it with `isthmus audit export` and a configuration without audit.database."
_COPY = "Copy it from another replica (mode 600); a machine that only reads the log needs none."


def audit(setup: Setup) -> Iterator[Finding]:
    """The entries, the newest checkpoint, and the key that signs the next one."""
    try:
        reader = Reader(storage(setup.settings, setup.home))
        yield _entries(reader, reader.checkpoint().checkpoint.size)
        yield from _key(setup, reader.verifier)
    except NotFound as error:
        yield Finding("audit", "ok", f"{error.message} {error.hint}")
    except IsthmusError as error:
        yield Finding("audit", "fail", error.message, error.hint)
    if setup.settings.audit.database is not None and (setup.home.audit / VKEY).exists():
        message = f"{setup.home.audit} holds another log, which ended when the database's began."
        yield Finding("audit", "warn", message, _OTHER)


def _entries(reader: Reader, size: int) -> Finding:
    told = f"The log has {size} signed entr{'y' if size == 1 else 'ies'}"
    if size > _QUICK:
        return Finding("audit", "ok", f"{told}; `isthmus audit verify` reads them all.")
    verify(reader)
    return Finding("audit", "ok", f"{told}, and holds.")


def _key(setup: Setup, log: Verifier) -> Iterator[Finding]:
    """A finding where the key is not the log's. One that a rotation left under its coming name is put in its place."""
    path = signing_key(setup.settings, setup.home)
    hint = None if setup.settings.audit.database is None else _COPY
    try:
        held = [load_key(each).public_key() for each in (path, coming(path)) if each == path or each.exists()]
    except IsthmusError as error:
        yield Finding("audit", "fail", error.message, hint or error.hint)
        return
    if log.key not in held:
        yield Finding("audit", "fail", f"{path} is not the signing key of {log.name}.", hint or "Restore its backup.")


def witnesses(setup: Setup) -> Iterator[Finding]:
    """Whether they answer. Nothing waits for one, so a silent one is a warning."""
    if not setup.settings.audit.witnesses:
        yield Finding("witness", "ok", "No witness watches the log; docs/witness.md says how one can.")
    for witness in setup.settings.audit.witnesses:
        yield _witness(witness)


def _witness(witness: WitnessSettings) -> Finding:
    name = witness.vkey.partition("+")[0]
    try:
        said = _ask(witness.url)
    except (OSError, ValueError, http.client.HTTPException):
        hint = "Start it, or correct its url in audit.witnesses; the log goes on without it."
        return Finding("witness", "warn", f"{name} cannot be reached.", hint)
    if said not in ("", witness.vkey):
        hint = "Ask whoever runs it for its key, and put that in audit.witnesses."
        return Finding("witness", "warn", f"{name} says another key than audit.witnesses does.", hint)
    return Finding("witness", "ok", f"{name} answers.")


def _ask(url: str) -> str:
    """The key that a witness says at its address; empty where it says none, as it need not."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with closing(kind(parts.hostname or "", parts.port, timeout=_PATIENCE_S)) as connection:
        connection.request("GET", parts.path or "/")
        said = connection.getresponse().read1(4096).decode("utf8", "replace").strip()
    try:
        return CosignatureVerifier.parse(said).vkey
    except VerificationFailed:
        return ""
