"""`make demo`, whole, with the smallest model on both sides: what must be true whatever a model says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    environment = {
        **os.environ,
        "ONCE": "1",
        "COLUMNS": "200",
        "DEMO_FOLDER": str(tmp_path_factory.mktemp("demo") / "here"),
        "DEMO_WEIGHTS": "starter/qwen2.5-coder-0.5b",
    }
    command = [sys.executable, str(ROOT / "examples" / "demo.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


TITLES = (
    "1. The handbook ",
    "2. A confidential memo ",
    "3. A pasted medical letter ",
    "4. The same memo, for the closed model by name ",
    "5. A public question that needs thought ",
    "6. The price list, an XLSX ",
    "An administrator rewrites the record ",
)


def parts(told: str) -> list[str]:
    """What is shown under each title; a model may number its own lines."""
    starts = [told.index(f"\n{title}") for title in TITLES]
    return [told[start:end] for start, end in zip(starts, [*starts[1:], len(told)], strict=True)]


@pytest.mark.model
def test_the_demo_shows_what_it_promises(told: str):
    assert "stand-in" in told
    assert "15 documents" in told
    handbook, memo, letter, named, public, prices = parts(told)[:6]
    assert "answered by  local/qwen" in handbook
    assert "Handbook: leave" in handbook.split("cited", 1)[1]
    assert "confidential-stays-on-premises keeps confidential text here" in memo
    assert "restricted · health · personal" in letter
    assert "answered by  local/qwen" in letter
    assert "policy_denied by the rule confidential-stays-on-premises" in named
    assert "answered by  closed/frontier because closed" in public
    assert "412" in prices
    assert "page 1" in prices.split("cited", 1)[1]
    for answered in (handbook, memo, letter, public, prices):
        assert "receipt" in answered


@pytest.mark.model
def test_the_demo_catches_the_administrator(told: str):
    record = parts(told)[6]
    assert "holds  the record as it is" in record
    assert "holds  the rewritten copy, by itself" in record
    assert "CAUGHT  the rewritten copy, by someone who holds yesterday's checkpoint" in record
