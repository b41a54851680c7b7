"""docs/audit.md, "Set it up in ten minutes": its commands, as the operator and the DPO type them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flow.audit_fixtures import site
from flow.strangers_fixtures import ROOT
from isthmus.governance.audit.notes.checkpoint import Verifier

PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf8")
OPERATOR, DPO, ADDRESS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CRON = re.findall(r"^```cron\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def typed(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def scheduled(line: str) -> str:
    """What cron runs: all after the five fields, with ``%`` unescaped."""
    return line.split(maxsplit=5)[5].replace("\\%", "%")


@pytest.mark.external("curl")
def test_the_steps_can_be_followed(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NEEDS curl, which is not installed")
    made, laptop = site(tmp_path / "home"), tmp_path / "laptop"
    laptop.mkdir()
    done = typed(OPERATOR, ISTHMUS_HOME=str(made.home))
    assert done.returncode == 0, done.stderr
    key = re.findall(r"isk_\S+", done.stdout)[0]
    vkey = done.stdout.splitlines()[-1]
    (line,) = CRON
    with made.serving():
        done = typed(DPO + ADDRESS, HOME=str(laptop), KEY=key, LOG=f"{made.url}/api/audit")
        assert (done.returncode, done.stdout) == (0, f"{vkey}\n"), done.stderr
        done = typed(scheduled(line), HOME=str(laptop))
        assert (done.returncode, done.stdout) == (0, "")
    assert (laptop / "isthmus" / "key").stat().st_mode & 0o777 == 0o600
    (kept,) = (laptop / "isthmus").glob("????-??-??.checkpoint")
    assert Verifier.parse(vkey).open(kept.read_bytes()).size > 0
    kept.unlink()
    done = typed(scheduled(line), HOME=str(laptop))  # the server is gone: cron mails that
    assert done.stdout == "no checkpoint today\n"
    assert not kept.exists()
