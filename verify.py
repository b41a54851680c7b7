"""Check an export of an Isthmus audit log, trusting nothing of Isthmus: this page, Python and openssl 3 will do.
Usage: python3 -I verify.py EXPORT VKEY [OLDER-CHECKPOINT ...] [--receipt FILE] [--witness VKEY]
VKEY is the log's public key (a file, or its text). Keep it, and older checkpoints or receipts (or whole answers), where
the log's operator cannot change them. Exit code: 0 it holds, 1 it does not, 2 nothing was checked."""

# fmt: off
# ruff: noqa: E401, I001, S603, S605, S607, SIM905, T201
import base64, hashlib, json, re, subprocess, sys, tempfile, typing
from pathlib import Path

def need(holds: object, why: str, code: int = 1) -> None:
    return None if holds else sys.exit(sys.stderr.write(f"{('FAILED', 'NOT CHECKED')[code - 1]}: {why}\n") and code)

def root(h: list[bytes]) -> bytes:  # RFC 6962 section 2.1: split at the largest power of two below the size
    k = 1 << (len(h) - 1).bit_length() >> 1
    return h[0] if len(h) == 1 else hashlib.sha256(b"\1" + root(h[:k]) + root(h[k:]) if h else b"").digest()

def signed(note: str, vkey: str) -> bool:  # c2sp.org/signed-note, and c2sp.org/tlog-cosignature for a witness's key
    (name, keyid, key), (body, lines) = vkey.split("+", 2), note.split("\n\n")
    raw = [base64.b64decode(line.split(" ")[2]) for line in lines.splitlines() if line.startswith(f"— {name} ")]
    signature, text = next((one[4:] for one in raw if one[:4].hex() == keyid), b""), f"{body}\n"
    if base64.b64decode(key)[0] == 4:  # a witness signs the time too
        text, signature = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n{text}", signature[8:]
    der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(key)[1:]  # RFC 8410: an Ed25519 public key
    openssl = "openssl pkeyutl -verify -pubin -keyform DER -inkey key -rawin -in body -sigfile sig".split()
    with tempfile.TemporaryDirectory() as folder:
        for file, data in (("key", der), ("body", text.encode()), ("sig", signature)):
            Path(folder, file).write_bytes(data)
        return subprocess.run(openssl, cwd=folder, capture_output=True, check=False).returncode == 0

def checkpoint(note: str, keys: dict[str, float]) -> tuple[int, bytes]:  # c2sp.org/tlog-checkpoint
    origin, size, top, *_ = note.split("\n\n")[0].split("\n")
    good = any(signed(note, key) for key, most in keys.items() if int(size) <= most and key.startswith(f"{origin}+"))
    need(good, f"the checkpoint of {int(size)} entries is not signed by {[*keys][-1]!a}")
    return int(size), base64.b64decode(top)

def all_keys(rotations: list[str], vkey: str) -> dict[str, float]:  # the log's keys, each with the most it signs for
    keys, due, least = dict[str, float](), "", 0
    for note in rotations:  # a checkpoint with one line more, which names the next key: both signed it
        _, size, _, kind, old, new = note.split("\n\n")[0].split()
        follows = old == (due or old) != new and new not in keys and int(size) >= least  # no key comes back
        good = kind == "isthmus.rotation/v1" and follows and signed(note, old) and signed(note, new)
        need(good, f"the rotation at {int(size)} does not hold")
        keys[old], due, least = int(size), new, int(size)
    need(vkey in (*keys, due or vkey), f"the rotations of the log's key do not lead from or to {vkey!a}")
    return {**keys, due or vkey: float("inf")}

def tile(folder: Path, n: int) -> bytes:  # c2sp.org/tlog-tiles: tile 1234067 is x001/x234/067, in part 067.p/WIDTH
    path = Path(folder, *(f"x{n // 1000**i % 1000:03}" for i in (2, 1) if n >= 1000**i), f"{n % 1000:03}")
    files = (path, *sorted(path.with_suffix(".p").glob("*"), key=lambda part: -int(part.name)))
    return next((file.read_bytes() for file in files if file.is_file()), b"")

def what(given: str) -> tuple[str, typing.Any]:  # a log's (A) or witness's (B) key, or (-) a checkpoint, or a receipt
    text = Path(given).read_text("utf8", "replace").strip() if Path(given).is_file() else given
    if key := re.fullmatch(r"[^+\s]+\+[0-9a-f]{8}\+(A[Q-Za-f]|B[A-P])[A-Za-z0-9+/]{42}", text):
        return key[1][0], text
    found = re.findall(r'\{[^{}]*"checkpoint":[^{}]*\}', text)  # a receipt may be within the answer that it came with
    one = json.loads(found[-1]) if found else {"checkpoint": text}
    need("\n\n— " in str(one["checkpoint"]), f"{given[:99]!a} is no file with a key, a checkpoint or a receipt", 2)
    return "-", one

def main(folder: str = "", *given: str) -> None:
    need(re.match("OpenSSL [3-9]", v := subprocess.getoutput("openssl version")), f"openssl 3 is needed, not {v!a}", 2)
    found, export = [what(one) for one in given if one not in ("--receipt", "--witness", "--help")], Path(folder)
    vkeys, witnesses, kept = ([one for kind, one in found if kind == wanted] for wanted in "AB-")
    need(len(vkeys) == 1 and len(witnesses) == given.count("--witness"), f"one key of a log is needed\n{__doc__}", 2)
    need(not (export / "checkpoint.alternate").exists(), f"{folder} is a log in use: ask for an export of it", 2)
    rotations = [file.read_text("utf8") for file in sorted(export.glob("rotation/*"), key=lambda file: int(file.name))]
    cosigned = [(export / "witnessed").read_text("utf8") for _ in witnesses]
    need(all(signed(cosigned[0], one) for one in witnesses), f"it is not cosigned by {' and '.join(witnesses)!a}")
    keys, notes = all_keys(rotations, vkeys[0]), [one["checkpoint"] for one in kept]
    texts = [(export / "checkpoint").read_text("utf8"), *cosigned, *rotations, *notes]
    tops, leaves = [checkpoint(note, keys) for note in texts], list[bytes]()
    while len(leaves) % 256 == 0 and (data := tile(export / "tile/entries", len(leaves) // 256)):
        hashes = tile(export / "tile/0", len(leaves) // 256)
        while data:  # every entry: it is in its place, with the hash that the log keeps for it
            i, end = len(leaves), 2 + int.from_bytes(data[:2], "big")
            leaves.append(hashlib.sha256(b"\0" + data[2:end]).digest())
            sound = end <= len(data) and hashes.startswith(leaves[i], i % 256 * 32)
            need(sound and json.loads(data[2:end])["seq"] == i, f"entry {i} was changed, or is not in its place")
            data = data[end:]
    need(len(leaves) == tops[0][0], f"there are {len(leaves)} entries, and {tops[0][0]} were signed for")
    for size, top in sorted(set(tops)):  # every checkpoint: the entries lead to it
        need(size <= len(leaves), f"the export has {len(leaves)} entries, what you kept {size}: it is older, or was "
                                  "cut; ask for one made today")
        need(root(leaves[:size]) == top, f"an entry before {size} was changed, or is gone, since {size} were signed")
    for one, i in ((one, one["index"]) for one in kept if "index" in one):
        need(leaves[i:i + 1] == [bytes.fromhex(one["leaf"])], f"entry {i} is not the one of the receipt")
    print(f"OK: {len(leaves)} entries,", f"{len(kept)} kept checkpoints or receipts, the same log" if kept or witnesses
          else "signed by the key; nothing that you kept was compared, so a rewritten log would pass too")
    print(*(f"The first {tops[1][0]} were cosigned by {one}\n" for one in witnesses), sep="", end="")
if __name__ == "__main__":
    sys.excepthook = lambda _, error, __: need(False, f"it cannot be read: {error}" if isinstance(error, OSError) else
        f"not what an export holds: {ascii(error)[:300]}", 2 if isinstance(error, OSError) else 1)
    main(*sys.argv[1:])
