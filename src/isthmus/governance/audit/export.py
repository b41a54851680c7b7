"""An export: the log up to a checkpoint as a folder of static files (C2SP tlog-tiles), with the means to check it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from isthmus.errors import InvalidRequest, VerificationFailed
from isthmus.governance.audit.checkpoint import Verifier
from isthmus.governance.audit.files import Files, make_folders, replace, tile_keeper
from isthmus.governance.audit.layout import WIDTH, bundle_path, pack, tile_path
from isthmus.governance.audit.merkle import leaf_hash
from isthmus.governance.audit.reader import Reader
from isthmus.governance.audit.storage import CHECKPOINT, VKEY, Folder
from isthmus.governance.audit.tree import Tree

_README = """An export of the audit log {name}: {size} entries.

    python3 verify.py . vkey [OLDER-CHECKPOINT] [--receipt RECEIPT.json]

needs Python and openssl, nothing else. Take `vkey`, and any older checkpoint, from where you keep them, not from here:
whoever made this folder could have made those too. Read verify.py first: it is one page.

checkpoint      the signed statement of size and root (C2SP tlog-checkpoint)
tile/entries/   the entries, 256 a file, each after its length as a big-endian uint16
tile/0, 1, …    the hashes of the tree (C2SP tlog-tiles)
"""


def export(reader: Reader, target: Path) -> int:
    """Copy the log up to its newest checkpoint into a new folder. Returns the number of entries.

    Raises :class:`VerificationFailed` where the entries do not lead to the checkpoint: a broken log is not exported.
    """
    signed = reader.checkpoint()
    size = signed.checkpoint.size
    first = (entry for index, entry in reader.entries() if index < size)

    def note(tree: Tree) -> str:
        if (tree.size, tree.root()) != (size, signed.checkpoint.root):
            raise VerificationFailed(
                "The entries do not lead to the checkpoint.", hint="Run `isthmus audit verify`: it says which."
            )
        return signed.note

    return write_export(target, first, reader.verifier, note)


def write_export(target: Path, entries: Iterable[bytes], verifier: Verifier, note: Callable[[Tree], str]) -> int:
    """Write entries as an export; ``note`` gives the signed checkpoint of their tree. Returns their number."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidRequest(f"{target} is there already.", hint="Name a folder that does not exist, or is empty.")
    files = Files()
    make_folders(files, target.absolute())
    tree, bundle = Tree(Folder(target), tile_keeper(target, files)), []
    for entry in entries:
        bundle.append(entry)
        if len(bundle) == WIDTH:
            _put(files, bundle_path(target, tree.size // WIDTH), pack(bundle))
            bundle = []
        tree.push(leaf_hash(entry))
    if bundle:
        _put(files, bundle_path(target, tree.size // WIDTH, len(bundle)), pack(bundle))
    _put_partial_tiles(files, target, tree)
    signed = note(tree)
    _put(files, target / VKEY, f"{verifier.vkey}\n".encode())
    _put(files, target / "README.txt", _README.format(name=verifier.name, size=tree.size).encode())
    shutil.copyfile(Path(__file__).with_name("verify.py"), target / "verify.py")
    _put(files, target / CHECKPOINT, signed.encode())  # last: a folder without it is not an export
    return tree.size


def _put_partial_tiles(files: Files, target: Path, tree: Tree) -> None:
    """The right edge; full tiles were stored as they filled."""
    level, count = 0, tree.size
    while count:
        n, width = divmod(count, WIDTH)
        if width:
            _put(files, tile_path(target, level, n, width), tree.tile(level, n, width))
        level, count = level + 1, n


def _put(files: Files, path: Path, data: bytes) -> None:
    make_folders(files, path.absolute().parent)
    replace(files, path, data)
