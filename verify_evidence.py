"""Check what `isthmus audit sent --out` wrote, trusting nothing of Isthmus: this page, Python and openssl will do.
Usage: python3 verify_evidence.py FOLDER VKEY [EXPORT]
VKEY is the log's public key (a file, or its text), from where you keep it. With an EXPORT of the whole log, found to
hold by verify.py against FOLDER/checkpoint, it also says that nothing was left out. Exit code: 0 it holds, 1 not."""

# fmt: off
# ruff: noqa: E401, I001, S603, SIM905, T201
import base64, datetime, hashlib, json, subprocess, sys, tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

def need(holds: bool, otherwise: str) -> None:
    return None if holds else sys.exit(f"FAILED: {otherwise}")

def checkpoint(note: str, vkey: str) -> tuple[int, bytes]:  # c2sp.org/signed-note, c2sp.org/tlog-checkpoint
    (name, keyid, key), (body, lines) = vkey.split("+", 2), note.split("\n\n")
    raw = [base64.b64decode(line.split(" ")[2]) for line in lines.splitlines() if line.startswith(f"— {name} ")]
    signature = next((one[4:] for one in raw if one[:4].hex() == keyid), b"")
    der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(key)[1:]  # RFC 8410: an Ed25519 public key
    openssl = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in body -sigfile sig".split()
    with tempfile.TemporaryDirectory() as folder:
        for file, data in (("key", der), ("body", f"{body}\n".encode()), ("sig", signature)):
            Path(folder, file).write_bytes(data)
        good = subprocess.run(openssl, cwd=folder, capture_output=True, check=False).returncode == 0
    origin, size, top = body.split("\n")[:3]
    need(good and origin == name, f"the checkpoint of {size} entries is not signed by {name}+{keyid}")
    return int(size), base64.b64decode(top)

def root(leaf: bytes, n: int, size: int, path: list[bytes]) -> bytes:  # RFC 6962 section 2.1.1, from the root down
    if size == 1 or not path:
        return leaf if size == 1 and not path else b""
    k = 1 << (size - 1).bit_length() - 1  # so many leaves are in the subtree on the left
    inner = root(leaf, n, k, path[:-1]) if n < k else root(leaf, n - k, size - k, path[:-1])
    return hashlib.sha256(b"\1" + (inner + path[-1] if n < k else path[-1] + inner)).digest()

def belongs(one: dict[str, Any], told: dict[str, Any]) -> bool:  # an intent to send to whom it is about, in its time
    vendor, at = one.get("vendor", ""), datetime.datetime.fromisoformat(one["time"])
    since, until = (told[side] and datetime.datetime.fromisoformat(told[side]) for side in ("from", "until"))
    meant = one.get("model") in (told["to"], *told["configured"])  # unless the entry says itself who received it
    if "provider" in one:
        meant = told["to"] in (one.get("model"), one["provider"], vendor, vendor.rpartition(":")[0])
    return one["type"] == "intent" and meant and not ((since and at < since) or (until and at >= until))

def main(folder: Path, vkey: str, export: str | None) -> None:
    note, told = (folder / "checkpoint").read_text("utf8"), json.loads((folder / "summary.json").read_text("utf8"))
    (size, top), entries = checkpoint(note, vkey), dict[int, dict[str, Any]]()
    for file in folder.glob("entries/*.json"):  # each is in the log, in its place: c2sp.org/tlog-proof
        head, _, signed = file.with_suffix(".tlog-proof").read_text("utf8").partition("\n\n")
        n, entry, (magic, index, *hashes) = int(file.stem), file.read_bytes(), head.split("\n")
        path, leaf = [base64.b64decode(line) for line in hashes], hashlib.sha256(b"\0" + entry).digest()
        sound = (magic, index, signed) == ("c2sp.org/tlog-proof@v1", f"index {n}", note) and n < size
        need(sound and root(leaf, n, size, path) == top, f"entry {n} is not what was signed for")
        entries[n] = json.loads(entry)
    ends = [one for one in entries.values() if one["type"] == "outcome"]
    used = [one.get("usage") or {"prompt": one["tokens"], "completion": 0} for one in ends]
    spent = {one["cost"]["currency"]: Decimal(0) for one in ends}
    for paid in (one["cost"] for one in ends):
        spent[paid["currency"]] += Decimal(paid["amount"])
    counted = {"requests": len({one["request"] for one in entries.values()}),
               "attempts": sum(belongs(one, told) for one in entries.values()),
               "tokens": {kind: sum(one[kind] for one in used) for kind in ("prompt", "completion")},
               "cost": {currency: f"{amount:f}" for currency, amount in spent.items()}}
    need(all(told[name] == value for name, value in counted.items()), "the entries do not add up to the summary")
    for file in Path(export).glob("tile/entries/**/*") if export else ():
        data = file.read_bytes() if file.is_file() else b""
        while data:  # every entry of the log, after its length: c2sp.org/tlog-tiles
            one, data = json.loads(data[2:(end := 2 + int.from_bytes(data[:2], "big"))]), data[end:]
            need((n := one["seq"]) in entries or n >= size or not belongs(one, told), f"entry {n} was left out")
    print(f"OK: {len(entries)} entries of the log of {size} add up to the summary{', none left out' if export else ''}")
if __name__ == "__main__":
    sys.excepthook = lambda _, error, __: print(f"FAILED: not what evidence looks like: {error!r}", file=sys.stderr)
    need(len(sys.argv) in (3, 4), __doc__ or "")
    vkey = Path(sys.argv[2]).read_text("utf8") if Path(sys.argv[2]).is_file() else sys.argv[2]
    main(Path(sys.argv[1]), vkey.strip(), sys.argv[3] if len(sys.argv) == 4 else None)
