"""What an administrator with the signing key can do: change an entry, and sign the whole log again.

    python examples/rewrite_log.py HOME TARGET [INDEX [FIELD VALUE]]

TARGET becomes an export in which every hash and every signature is right. Only somebody who holds an older checkpoint
can tell, which is why one should. The log in HOME stays as it is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from isthmus.config import Home
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.reading.export import write_export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.keys import load_key


def rewrite(home: Home, target: Path, index: int, change: dict[str, object]) -> str:
    """Write the log of ``home`` with one entry changed into ``target``. Returns that entry as it is told there."""
    reader = Reader(Folder(home.audit))
    signer = Signer(reader.verifier.name, load_key(home.secrets / "log-signing-key"))
    size = reader.checkpoint().checkpoint.size
    entries = [entry for at, entry in reader.entries() if at < size]
    told = json.loads(entries[index]) | change
    entries[index] = json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def sign(size: int, root: bytes) -> str:
        return signer.sign(Checkpoint(reader.verifier.name, size, root))

    write_export(target, entries, reader.verifier, sign)
    return entries[index].decode()


def main(home: str, target: str, index: str = "0", field: str = "principal", value: str = "nobody") -> None:
    told = rewrite(Home(Path(home)), Path(target), int(index), {field: value})
    print(f"Entry {index} now reads: {told}")


if __name__ == "__main__":
    main(*sys.argv[1:])
