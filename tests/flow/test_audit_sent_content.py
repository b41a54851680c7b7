"""``isthmus audit sent --content``: what was kept of what a vendor received; each opening is recorded."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flow.conftest import World
from flow.test_vault_flow import fresh, kept  # noqa: F401  fixtures


def test_content_lies_beside_its_evidence(kept: World, tmp_path: Path) -> None:  # noqa: F811
    asked = [kept.ask(text, model="closed/frontier") for text in ("Where do gulls sleep?", "And the terns?")]
    requests = [answer.isthmus["request"] for answer in asked]
    local = kept.ask("Who keeps the lighthouse?", model="local/echo")
    private = kept.ask("Not to be kept.", model="closed/frontier", extra_body={"isthmus": {"purpose": "private"}})
    folder = tmp_path / "evidence"
    told = kept.site.run("audit", "sent", "--to", "closed/frontier", "--out", str(folder), "--content", "a complaint")

    files = sorted((folder / "content").iterdir(), key=lambda file: int(file.stem))
    found = [json.loads(file.read_text(encoding="utf8")) for file in files]
    texts = {one["request"]: {kind["kind"]: kind["text"] for kind in one["contents"]} for one in found}
    assert {request: texts[request]["prompt"] for request in requests} == {
        requests[0]: "Where do gulls sleep?",
        requests[1]: "And the terns?",
    }
    assert texts[requests[0]]["answer"] == asked[0].choices[0].message.content
    assert all(kind["genuine"] for one in found for kind in one["contents"])
    for other in (local, private):
        assert other.isthmus["request"] not in texts
    assert stat.S_IMODE((folder / "content").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    opened = kept.site.run("audit", "search", "--type", "content.opened")["entries"]
    assert told["opened"] == len(found) == len(opened) == told["kept"]
    assert {entry["request"] for entry in opened} == set(texts)
    assert {entry["why"] for entry in opened} == {"a complaint"}
    story = kept.site.run("audit", "show", requests[0])
    assert [entry["type"] for entry in story["entries"]] == [
        "intent", "outcome", "content.opened", "content.disclosed",
    ]  # fmt: skip
    assert story["end"] == "answered by closed/frontier"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="NEEDS openssl, which is not installed")
def test_a_stranger_checks_the_content(kept: World, tmp_path: Path) -> None:  # noqa: F811
    kept.ask("What does the lamp burn?", model="closed/frontier")
    folder, vkey = tmp_path / "evidence", kept.site.home / "audit" / "vkey"
    told = kept.site.run("audit", "sent", "--to", "closed/frontier", "--out", str(folder), "--content", "a dispute")

    def check() -> subprocess.CompletedProcess[str]:
        page = [sys.executable, "-I", folder / "verify_evidence.py", folder, vkey]
        return subprocess.run(page, capture_output=True, text=True, check=False, timeout=60)

    done = check()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"content/: {2 * told['kept']} texts: as committed to" in done.stdout
    last = max((folder / "content").iterdir(), key=lambda file: int(file.stem))
    text = last.read_text(encoding="utf8")
    assert "What does the lamp burn?" in text
    last.write_text(text.replace("What does the lamp burn?", "What does the lamp cost?"), encoding="utf8")
    done = check()
    assert (done.returncode, done.stdout) == (1, "")
    assert "the prompt is not what was committed to" in done.stderr
