"""Check what `isthmus audit sent --out` wrote, trusting nothing of Isthmus: this page, Python and openssl will do.
Usage: python3 verify_evidence.py FOLDER VKEY [EXPORT]
VKEY is the log's public key (a file, or its text), from where you keep it. EXPORT is the whole log, as `isthmus audit
export` wrote it: with it all is counted again, and nothing can be left out. Exit code: 0 holds, 1 not, 2 wrong use."""

# fmt: off
# ruff: noqa: E401, I001, S603, SIM905, T201
import base64, datetime, hashlib, json, shutil, subprocess, sys, tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

Event = dict[str, Any]  # what an entry says. Of the folder only {text!a} is printed: it may hold what a terminal obeys

def need(holds: object, otherwise: str) -> None:
    return None if holds else sys.exit(f"FAILED: {otherwise}")

def checkpoint(note: str, vkey: str) -> tuple[str, int, bytes]:  # c2sp.org/signed-note, c2sp.org/tlog-checkpoint
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
    need(good and origin == name, f"the checkpoint of {size!a} entries is not signed by {vkey!a}")
    return origin, int(size), base64.b64decode(top)

def root(h: list[bytes]) -> bytes:  # RFC 6962 section 2.1: split at the largest power of two below the size
    k = 1 << (len(h) - 1).bit_length() >> 1
    return h[0] if len(h) == 1 else hashlib.sha256(b"\1" + root(h[:k]) + root(h[k:]) if h else b"").digest()

def led(leaf: bytes, n: int, size: int, path: list[bytes]) -> bytes:  # section 2.1.1: the root, by an inclusion proof
    if size == 1 or not path:
        return leaf if size == 1 and not path else b""
    k = 1 << (size - 1).bit_length() - 1  # so many leaves are in the subtree on the left
    inner = led(leaf, n, k, path[:-1]) if n < k else led(leaf, n - k, size - k, path[:-1])
    return hashlib.sha256(b"\1" + (inner + path[-1] if n < k else path[-1] + inner)).digest()

def whole(export: Path, size: int, top: bytes) -> Iterator[tuple[int, Event]]:  # the log, in order: c2sp.org/tlog-tiles
    leaves = list[bytes]()
    for n in range((size + 255) // 256):  # bundle 1234067 is x001/x234/067, in part 067.p/WIDTH
        names = *(f"x{n // 1000**i % 1000:03}" for i in (2, 1) if n >= 1000**i), f"{n % 1000:03}"
        path = export.joinpath("tile/entries", *names)
        files = path, *sorted(path.with_suffix(".p").glob("*"), key=lambda part: -int(part.name))
        data = next((file.read_bytes() for file in files if file.is_file()), b"")
        while data and len(leaves) < size:  # each entry stands after its length
            entry, data = data[2:(end := 2 + int.from_bytes(data[:2], "big"))], data[end:]
            leaves.append(hashlib.sha256(b"\0" + entry).digest())
            yield len(leaves) - 1, json.loads(entry)
    need(root(leaves) == top, f"the export's {len(leaves)} entries are not those that were signed for")

def belongs(one: Event, told: Event) -> bool:  # an intent to send to whom it is about, in its time
    vendor, at = one.get("vendor", ""), datetime.datetime.fromisoformat(one["time"])
    since, until = (told[side] and datetime.datetime.fromisoformat(told[side]) for side in ("from", "until"))
    meant = one.get("model") in (*told["names"], *told["configured"])  # unless the entry says itself who received it
    if "provider" in one:
        meant = bool({one.get("model"), one["provider"], vendor, vendor.rpartition(":")[0]} & {*told["names"]} - {""})
    return one["type"] == "intent" and meant and not ((since and at < since) or (until and at >= until))

def attempts(entries: Iterable[tuple[int, Event]], told: Event) -> tuple[list[list[Event]], list[int]]:
    """The attempts, each as the entries that begin and end it; and the numbers of all these entries."""
    found, running, used = list[list[Event]](), dict[str, dict[str, list[Event]]](), list[int]()
    for n, one in entries:
        request, model, ended = one.get("request", ""), one.get("model", ""), list[list[Event]]()
        if mine := belongs(one, told):
            found.append([one, {}])
            running.setdefault(request, {})[model] = found[-1]
        elif one["type"] in ("outcome", "failed", "stopped") and (going := running.get(request)):
            ended = [going.pop(it) for it in ([*going] if one["type"] == "stopped" else [model]) if it in going]
        for attempt in ended:
            attempt[1] = one
        used += [n] if mine or ended else []
    return found, used

def summary(found: list[list[Event]]) -> Event:  # all that summary.json counts
    begun, ends = [begin for begin, _ in found], [end for _, end in found]
    outcomes, cost = [end for end in ends if end.get("type") == "outcome"], defaultdict[str, Decimal](Decimal)
    used = [one.get("usage") or {"prompt": one.get("tokens", 0), "completion": 0} for one in outcomes]
    how = [one.get("error") or one.get("code") or ("not on record" if not one else "") for one in ends]
    for paid in (one["cost"] for one in outcomes):
        cost[paid["currency"]] += Decimal(paid["amount"])
    by, amounts = defaultdict[str, Counter[str]](Counter), Counter[str]()
    for one in begun:
        amounts.update({name: one.get(name, 0) for name in ("texts", "images", "characters")})
        label, shown = one["label"], one.get("passages", [])
        named = {"labels": [label["level"]], "categories": label.get("categories", []), "where": [one.get("locality")],
                 "retention": [one.get("retention")], "contracts": [one.get("terms", {}).get("contract")]}
        named |= {f"{kind}s": [one.get(kind)] for kind in ("principal", "purpose", "model", "vendor", "rule")}
        named |= {f"{kind}s": [one.get(kind), *(part[kind] for part in shown)] for kind in ("collection", "document")}
        for name, values in named.items():
            by[name].update({value for value in values if value})
    return {"requests": len({one["request"] for one in begun}), "attempts": len(begun), "answered": how.count(""),
            "tokens": {kind: sum(one[kind] for one in used) for kind in ("prompt", "completion")},
            "cost": {currency: f"{amount:f}" for currency, amount in cost.items()},
            "ends": Counter(filter(None, how)), "kept": sum(one.get("kept") is True for one in begun),
            "estimated": sum(one.get("usage", {}).get("estimated") is True for one in outcomes),
            "amounts": +amounts, "by": {name: by[name] for name in by if by[name]}}

def written(file: Path) -> Event:  # JSON exactly as it was written, in which no name stands twice
    text = file.read_text("ascii").strip()
    need(json.dumps(one := json.loads(text), indent=2) == text, f"{file.name!a} was changed")
    return dict(one)

def content(folder: Path, entries: dict[int, Event]) -> Iterator[bool]:  # for each text, whether there is a commitment
    about: dict[str, list[Event]] = defaultdict(list)
    for one in entries.values():
        about[one["request"]].append(one)
    for file in folder.glob("content/*"):
        told, first = written(file), entries.get(int(file.stem), {})
        sound = first and (file.name, told["request"]) == (f"{first['seq']}.json", first["request"])
        need(sound, f"content/{file.name!a} is of no request that is counted")
        for one in (one for one in told["contents"] if one["text"] is not None):
            if checked := one["kind"] in ("prompt", "answer"):  # SHA-256(salt || text), of this request and model
                salt, text = bytes.fromhex(told["salt"]), one["text"].encode("utf8", "surrogatepass")
                meant = [own.get(one["kind"]) for own in about[told["request"]] if own["model"] == one["model"]]
                good = len(salt) == 32 and hashlib.sha256(salt + text).hexdigest() in meant
                need(good, f"content/{file.name}: the {one['kind']} is not what was committed to")
            yield checked

def main(folder: Path, vkey: str, export: Path | None) -> None:
    note, told = (folder / "checkpoint").read_text("utf8"), written(folder / "summary.json")
    (origin, size, top), entries = checkpoint(note, vkey), dict[int, Event]()
    for file in sorted(folder.glob("entries/*.json"), key=lambda file: int(file.stem)):
        head, _, signed = file.with_suffix(".tlog-proof").read_text("utf8").partition("\n\n")  # c2sp.org/tlog-proof
        n, entry, (magic, index, *hashes) = int(file.stem), file.read_bytes(), head.split("\n")
        path, leaf = [base64.b64decode(line) for line in hashes], hashlib.sha256(b"\0" + entry).digest()
        sound = (magic, index, signed, file.name) == ("c2sp.org/tlog-proof@v1", f"index {n}", note, f"{n}.json")
        need(sound and 0 <= n < size and led(leaf, n, size, path) == top, f"entry {n} is not what was signed for")
        entries[n] = json.loads(entry)
    need(len([*folder.glob("entries/*")]) == 2 * len(entries), "entries/ holds more than entries and their proofs")
    found, used = attempts(entries.items(), told)
    need(not (more := sorted({*entries} - {*used})), f"entry {more[:1]} is of no attempt that is counted")
    due = {"log": origin, "size": size, "entries": len(entries), **summary(found)}
    due |= {name: told[name] for name in ("to", "from", "until", "configured")}
    due["names"] = sorted({told["to"], *told["names"]})
    wrong = sorted(name for name in {*due, *told} if name not in due or due[name] != told.get(name))
    need(not wrong, f"the entries do not add up to the summary's {wrong!a}")
    _, needed = attempts(whole(export, size, top), told) if export else ([], used)
    need(not (less := sorted({*needed} - {*entries})), f"entry {less[:1]} was left out")
    texts = Counter(content(folder, entries))
    print(f"OK: {len(entries)} entries of the log of {size} add up to the summary{', none left out' if export else ''}")
    print(f"{len(found)} attempts to send to {told['names']!a}, from {told['from']!a} until {told['until']!a}")
    print(f"Where an entry does not say who received it, these models count: {told['configured']!a}")
    for checked, many in texts.items():
        print(f"content/: {many} texts: {'as committed to' if checked else 'NOT CHECKED, nothing commits to them'}")
if __name__ == "__main__":
    sys.excepthook = lambda kind, error, _: print(
        f"FAILED: not what evidence looks like: {kind.__name__}: {str(error)!a}", file=sys.stderr)
    key = "".join(Path(given).read_text("utf8") if Path(given).is_file() else given for given in sys.argv[2:3]).strip()
    wrong = [f"{given!a} is no folder" for given in sys.argv[1::2] if not Path(given).is_dir()]
    wrong += [] if key.count("+") > 1 else ["VKEY is neither a key nor a file with one"]
    wrong += [] if shutil.which("openssl") else ["openssl is not installed"]
    if wrong or len(sys.argv) not in (3, 4):
        print(*wrong, __doc__, sep="\n", file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), key, Path(sys.argv[3]) if len(sys.argv) == 4 else None)
