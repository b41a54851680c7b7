"""What a recipient received, as a folder that a stranger can check without the log: entries, each with its proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from isthmus.governance.audit.answers.search import oldest_first
from isthmus.governance.audit.answers.sent import Sent
from isthmus.governance.audit.notes.tlogproof import prove
from isthmus.governance.audit.reading.handout import OPENING, new_folder, put
from isthmus.governance.audit.reading.proven import not_signed
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.governance.audit.tree.storage import CHECKPOINT, VKEY
from isthmus.governance.audit.tree.stored import StoredTree

#: Hashes that are remembered while proofs are made.
_NODES = 4096
_README = """What {to} received {when}, from the audit log {log}.

    python3 -I verify_evidence.py . VKEY-YOU-KEPT [EXPORT]

needs Python and openssl, nothing else. Take `vkey` from where you keep it, not from here: whoever made this folder
could have made that too, and verify_evidence.py. Get that from where you trust it, or read it first: it is short.

summary.json            what was counted: {attempts} attempts of {requests} requests
entries/N.json          entry N of the log, exactly the bytes that were hashed
entries/N.tlog-proof    the proof that it is in the log (C2SP tlog-proof: inclusion proof and checkpoint)
checkpoint              the signed statement of size ({size}) and root (C2SP tlog-checkpoint)
content/N.json          where content was opened: what was kept of the request of entry N, and the salt of that request

What it proves: each entry here is in the log at its place, as it was written, and every number in the summary is what
these entries add up to. An attempt counts from its intent on, which was on disk before the call, also where the call
failed: it may have been received. A retry may have sent the same text again under one intent. A prompt or an answer in
content/ is the one that its entry commits to: SHA-256(salt || text). Reasoning, refusals and calls in there have no
commitment, and are said not to be checked.

What it does not prove: that there is no other entry, and that everything was logged. For the first, ask for an export
(`isthmus audit export DIR`), of this checkpoint or a later one, and give it as EXPORT: then everything is counted again
from the whole log, and all that belongs here, the end of each attempt too, must be here. The second no log proves.

{opening}
"""


def write_evidence(reader: Reader, sent: Sent, target: Path, advance: Callable[[int], object] = lambda _: None) -> int:
    """Write the folder. Returns the number of entries in it; ``advance`` hears of each.

    Raises :class:`InvalidRequest` where the folder is not empty or cannot be written, :class:`VerificationFailed`
    where an entry does not lead to the checkpoint: then nothing is proved.
    """
    if sent.broken:
        raise not_signed(sent.broken[0], sent.signed.checkpoint.size)
    with new_folder(target):
        _write(reader, sent, target, advance)
    return len(sent.tally.entries)


def _write(reader: Reader, sent: Sent, target: Path, advance: Callable[[int], object]) -> None:
    checkpoint, note = sent.signed.checkpoint, sent.signed.note
    # what tiles hold is held against the signed root by each proof; neighbours' proofs share most nodes
    node = lru_cache(maxsize=_NODES)(StoredTree(reader.storage).node)
    entries = target / "entries"
    entries.mkdir(mode=0o700)
    for index, entry in chosen(reader, sent.tally.entries):
        put(entries / f"{index}.json", entry)
        put(entries / f"{index}.tlog-proof", str(prove(index, entry, checkpoint, note, node)))
        advance(1)
    plain = _summary(sent)
    when = f"from {plain['from'] or 'the beginning'} until {plain['until'] or 'the checkpoint'}"
    facts = {"log": checkpoint.origin, "size": checkpoint.size, "to": json.dumps(sent.to.name), "when": when}
    totals = {"attempts": sent.tally.total.attempts, "requests": sent.tally.total.requests}
    put(target / "README.txt", _README.format(**facts, **totals, opening=OPENING))
    put(target / VKEY, f"{reader.verifier.vkey}\n")
    put(target / CHECKPOINT, note)
    put(target / "verify_evidence.py", (Path(__file__).parents[1] / "verify_evidence.py").read_bytes())
    put(target / "summary.json", json.dumps(plain, indent=2) + "\n")


def _summary(sent: Sent) -> dict[str, object]:
    """What ``verify_evidence.py`` counts again, and nothing else: that it is refused where it says more."""
    counted = sent.tally.as_dict()
    del counted["months"]
    return {
        "to": sent.to.name,
        "names": sorted(sent.to.names),
        **sent.span.as_dict(),
        "configured": sorted(sent.to.models),
        "log": sent.signed.checkpoint.origin,
        "size": sent.signed.checkpoint.size,
        **counted,
    }


def chosen(reader: Reader, indexes: list[int]) -> Iterator[tuple[int, bytes]]:
    """The entries of those numbers, which rise; each bundle is read once."""
    wanted = iter(indexes)
    index = next(wanted, None)
    while index is not None:
        for at, entry in oldest_first(reader, index):
            if at == index:
                yield at, entry
                index = next(wanted, None)
            if index is None or index // WIDTH > at // WIDTH:
                break
