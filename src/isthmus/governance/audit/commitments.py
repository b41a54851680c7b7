"""Salted commitments: the log holds them in place of content.

``salt = HMAC-SHA256(key, request)`` and ``commitment = SHA-256(salt || text)``. Whoever is shown a text and its salt
can check that this text was meant; without the salt a commitment tells nothing, also of a text that is easy to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files, make_folders, replace, sync_folder


class Commitments:
    """An :class:`isthmus.seams.Vault`; its key is a file of mode 600, made at first use."""

    def __init__(self, key_file: Path) -> None:
        """Raises :class:`AuditUnavailable` where the file cannot be read or made, or others may read it."""
        try:
            self._key = _read(key_file) if key_file.exists() else _make(key_file)
        except OSError as error:
            raise AuditUnavailable(f"The commitments' key {key_file} cannot be used: {error.strerror}.") from error

    def salt(self, request: str) -> bytes:
        """What opens this request's commitments: give it to whoever must check them, and to nobody else."""
        return hmac.new(self._key, request.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    def commit(self, request: str, text: str) -> str:
        """The commitment to a text, as 64 hex digits."""
        return commitment(self.salt(request), text)

    def check(self, request: str, text: str, committed: str) -> bool:
        """Whether this is the text that was committed to."""
        return hmac.compare_digest(self.commit(request, text), committed)


def commitment(salt: bytes, text: str) -> str:
    """What a stranger computes from a salt and a text that were disclosed."""
    return hashlib.sha256(salt + text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise AuditUnavailable(f"Others may read the commitments' key {path}.", hint=f"Run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != 32:
        raise AuditUnavailable(f"The commitments' key {path} is damaged.", hint="Restore it from its backup.")
    return key


def _make(path: Path) -> bytes:
    """A new key; of several processes that make it at once, the first one's counts."""
    files = Files()
    make_folders(files, path.parent)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    replace(files, beside, secrets.token_bytes(32))
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
    sync_folder(files, path.parent)
    return _read(path)
