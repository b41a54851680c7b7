"""An export: the log up to a checkpoint as a folder of static files (C2SP tlog-tiles), with the means to check it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.files import Files, make_folders, replace
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.reading.handout import OPENING, new_folder
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import nobody
from isthmus.governance.audit.tree.layout import WIDTH, bundle_path, pack, tile_path
from isthmus.governance.audit.tree.merkle import Frontier, leaf_hash
from isthmus.governance.audit.tree.storage import CHECKPOINT, ROTATION, VKEY
from isthmus.governance.audit.tree.stored import StoredTree, subtree

_README = """An export of the audit log {name}: {size} entries.

    python3 -I verify.py . VKEY-YOU-KEPT CHECKPOINT-YOU-KEPT ... [--receipt FILE] [--witness VKEY]

needs Python and openssl 3, nothing else. Take the public key, a checkpoint and verify.py from where you keep them, not
from here: whoever made this folder could have made those too. Read verify.py first: it is one page.

checkpoint      the signed statement of size and root (C2SP tlog-checkpoint)
tile/entries/   the entries, 256 a file, each after its length as a big-endian uint16
tile/0, 1, …    the hashes of the tree (C2SP tlog-tiles)
rotation/       where the log's key was changed: the old key's word for the new one
witnessed       the newest checkpoint that witnesses cosigned, if the log has any (C2SP tlog-cosignature)

Any web server makes this folder a log that tools for C2SP tlog-tiles read: python3 -m http.server

{opening}
"""


def export(reader: Reader, target: Path, told: Callable[[int, int], None] = nobody) -> int:
    """Copy the log up to its newest checkpoint into a new folder. Returns the number of entries.

    Raises :class:`VerificationFailed` where the entries do not lead to the checkpoint: a broken log is not exported.
    ``told`` hears how many entries of how many were copied.
    """
    signed = reader.checkpoint()
    size = signed.checkpoint.size

    def note(copied: int, root: bytes) -> str:
        if (copied, root) != (size, signed.checkpoint.root):
            raise VerificationFailed(
                "The entries do not lead to the checkpoint.", hint="Run `isthmus audit verify`: it says which."
            )
        return signed.note

    return write_export(target, _entries(reader, size, told), reader.verifier, note, reader.rotations())


def write_export(
    target: Path,
    entries: Iterable[bytes],
    verifier: Verifier,
    note: Callable[[int, bytes], str],
    rotations: Iterable[bytes] = (),
) -> int:
    """Write entries as an export; ``note`` gives the signed checkpoint for their number and root. Returns the number.

    Raises :class:`InvalidRequest` where the folder is not empty, or cannot be written.
    """
    writer = _Writer(target)
    with new_folder(target):
        for entry in entries:
            writer.push(entry)
        writer.end()
        signed = note(writer.size, writer.root())
        for at, rotation in enumerate(rotations, 1):
            writer.put(target / ROTATION / str(at), rotation)
        writer.put(target / VKEY, f"{verifier.vkey}\n".encode())
        readme = _README.format(name=verifier.name, size=writer.size, opening=OPENING)
        writer.put(target / "README.txt", readme.encode())
        writer.put(target / "verify.py", (Path(__file__).parents[1] / "verify.py").read_bytes())
        writer.put(target / CHECKPOINT, signed.encode())  # last: a folder without it is not an export
    return writer.size


class _Writer:
    """Bundles and tiles, each written once, when it is full or at the end."""

    def __init__(self, target: Path) -> None:
        self._target, self._files = target, Files()
        self._bundle: list[bytes] = []
        self._rows: list[list[bytes]] = [[]]
        self._frontier = Frontier()

    @property
    def size(self) -> int:
        return self._frontier.size

    def root(self) -> bytes:
        return self._frontier.root()

    def push(self, entry: bytes) -> None:
        leaf = leaf_hash(entry)
        self._frontier.push(leaf)
        self._bundle.append(entry)
        if len(self._bundle) == WIDTH:
            self._put_bundle()
        self._push(0, leaf)

    def end(self) -> None:
        """What is not full, under its width."""
        if self._bundle:
            self._put_bundle()
        count = self.size
        for level, row in enumerate(self._rows):
            if row:
                self.put(tile_path(self._target, level, count // WIDTH, len(row)), b"".join(row))
            count //= WIDTH

    def put(self, path: Path, data: bytes) -> None:
        make_folders(self._files, path.absolute().parent)
        replace(self._files, path, data)

    def _push(self, level: int, value: bytes) -> None:
        if level == len(self._rows):
            self._rows.append([])
        row = self._rows[level]
        row.append(value)
        if len(row) == WIDTH:
            n = (self.size >> 8 * (level + 1)) - 1
            self.put(tile_path(self._target, level, n), b"".join(row))
            self._rows[level] = []
            self._push(level + 1, subtree(row))

    def _put_bundle(self) -> None:
        n, width = (self.size - 1) // WIDTH, len(self._bundle)
        self.put(bundle_path(self._target, n, width), pack(self._bundle))
        self._bundle = []


def _entries(reader: Reader, size: int, told: Callable[[int, int], None]) -> Iterator[bytes]:
    """Every entry that is signed for. Raises :class:`VerificationFailed`, naming one that is missing."""
    tree = StoredTree(reader.storage)
    for start in range(0, size, WIDTH):
        width = min(WIDTH, size - start)
        yield from tree.entries(start // WIDTH, width)
        told(start + width, size)
