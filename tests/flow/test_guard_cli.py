"""``isthmus guard`` as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from isthmus.guardrails.measure import Measured


def isthmus(*arguments: str, home: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus", "--home", str(home), "guard", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False, cwd=home)


def test_check_shows_what_was_found_and_the_label(tmp_path: Path) -> None:
    done = isthmus("check", "-", "--json", home=tmp_path, text="Transfer it to DE89 3704 0044 0532 0130 00.")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["label"] == {"level": "confidential", "categories": ["personal"]}
    assert {"IBAN"} <= {finding["kind"] for finding in answer["findings"]}
    assert {"start": 15, "end": 42}.items() <= next(one for one in answer["findings"] if one["kind"] == "IBAN").items()


def test_check_shows_a_text_with_brackets_as_it_is(tmp_path: Path) -> None:
    done = isthmus("check", 'password = "abc[/b]Xy9def1Q"', home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "abc[/b]Xy9def1Q" in done.stdout


def test_eval_pii_gives_the_figures_and_names_a_broken_line(tmp_path: Path) -> None:
    lines = [
        {"text": "My name is Jane Roe.", "spans": [{"start": 11, "end": 19, "label": "PERSON"}]},
        {"text": "The zebra of our zoo is xyzzy.", "spans": [{"start": 24, "end": 29}]},
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf8")
    done = isthmus("eval-pii", "--data", str(data), "--json", home=tmp_path)
    figures = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"precision": 1.0, "recall": 0.5, "texts": 2, "spans": 2}.items() <= figures.items()
    assert figures["ms_p50"] > 0
    data.write_text('{"text": "a", "spans": []}\n{"text": 1}\n', encoding="utf8")
    done = isthmus("eval-pii", "--data", str(data), home=tmp_path)
    assert done.returncode == 2
    assert "line 2" in " ".join(done.stderr.split())


def test_f2_weighs_recall_twice() -> None:
    measured = Measured(texts=1, marked=10, met=5, found=5, right=5, ms_p50=1.0)
    assert (measured.precision, measured.recall) == (1.0, 0.5)
    assert round(measured.f2, 4) == round(5 * 0.5 / (4 + 0.5), 4)
