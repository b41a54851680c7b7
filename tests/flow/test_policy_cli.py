"""``isthmus policy``: what a person who writes rules sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.keys import KeyOptions, open_keys
from isthmus.labels import Label, Level

CONFIG = """
labels: {default: {level: internal}, purposes: {care: {level: confidential, categories: [health]}}}
models:
  - {id: hall/llama, provider: openai_compatible, base_url: "http://127.0.0.1:9/v1", locality: on_premises}
  - id: closed/frontier
    provider: openai_compatible
    base_url: http://127.0.0.1:9/v1
    locality: api
    jurisdiction: US
    retention: none
    terms: {contract: DPA-1, expires: 2099-12-31}
policy: {folder: policies}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with the starter policies, as ``isthmus init`` makes it, and two models beside the embedder."""
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    (tmp_path / "isthmus.yaml").write_text(CONFIG, encoding="utf8")
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert main(["policy", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _rules(explanation: Any) -> dict[str, str]:
    return {model["model"]: model["rule"] for model in explanation["models"]}


def test_check_lists_every_rule_with_its_place(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "check"]) == 0
    shown = capsys.readouterr().out
    assert "above-clearance" in shown
    assert "20-boundary.cedar:3" in shown
    assert "10 rules" in shown
    checked = _json(capsys, "check")
    assert checked["folder"] == str(home / "policies")
    assert checked["policy"] in shown


def test_check_names_file_and_line_of_every_fault(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "policies" / "50-mine.cedar"
    path.write_text('\n@id("a")\npermit (principal, action, resource) when {\n', encoding="utf8")
    (home / "policies" / "60-mine.cedar").write_text("permit (principal, action, resource);", encoding="utf8")
    capsys.readouterr()
    assert main(["policy", "check"]) == 2
    complaint = capsys.readouterr().err.replace("\n", "")
    assert f"{path}:2: unexpected end of input" in complaint
    assert "60-mine.cedar:1: the rule has no name" in complaint
    assert main(["policy", "check", "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["error"]["problems"]) == 2


def test_a_folder_can_be_checked_before_it_is_in_force(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "next").mkdir()
    assert main(["policy", "check", str(home / "next")]) == 2
    (home / "next" / "a.cedar").write_text('@id("a") permit (principal, action, resource);', encoding="utf8")
    assert [rule["name"] for rule in _json(capsys, "check", str(home / "next"))["rules"]] == ["a"]


def test_a_folder_that_is_not_there_is_named_with_what_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["policy", "check", str(home / "none"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], str(home / "none") in error["message"]) == ("policy_unavailable", True)
    assert "policy.folder" in error["hint"]


@pytest.mark.parametrize("command", ["show", "explain", "check"])
def test_80_columns_cut_nothing(
    home: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (home / "policies" / "50-mine.cedar").write_text(
        '@id("mine")\n@reason("Why not")\n@obligation("review")\npermit (principal, action, resource);', "utf8"
    )
    capsys.readouterr()
    assert main(["policy", command]) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "in-process-models-within-clearance" in shown
    assert command != "show" or "mine (with review)" in shown
    assert max(len(line) for line in shown.splitlines() if "-within-clearance" in line) <= 80


def test_show_gives_reasons_and_a_rule_as_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "policies" / "50-mine.cedar").write_text(
        '@id("mine")\n@reason("[red]brackets[/] stay")\npermit (principal, action, resource);', encoding="utf8"
    )
    assert main(["policy", "show"]) == 0
    assert "[red]brackets[/] stay" in capsys.readouterr().out
    assert main(["policy", "show", "mine"]) == 0
    assert '@reason("[red]brackets[/] stay")' in capsys.readouterr().out
    assert main(["policy", "show", "no-such-rule"]) == 1


def test_explain_names_the_rule_for_every_model(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = _json(capsys, "explain")
    assert _rules(typed) == {
        "hall/llama": "on-premises-models-within-clearance",
        "closed/frontier": "closed-models-within-clearance",
        "local/minilm": "in-process-models-within-clearance",
    }
    assert typed["label"] == {"level": "internal", "categories": []}
    raised = _json(capsys, "explain", "--level", "confidential", "--category", "health", "--residency", "DE")
    assert _rules(raised)["closed/frontier"] == "confidential-stays-on-premises"
    assert _rules(raised)["hall/llama"] == "residency-not-allowed"
    assert raised["admitted"] == ["local/minilm"]
    assert main(["policy", "explain", "--level", "confidential", "--model", "closed/frontier"]) == 0
    shown = capsys.readouterr().out
    assert "confidential-stays-on-premises" in shown
    assert "hall/llama" not in shown


def test_explain_takes_role_purpose_and_day(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(_rules(_json(capsys, "explain", "--role", "auditor")).values()) == {"role-may-not-ask"}
    care = _json(capsys, "explain", "--purpose", "care")
    assert care["label"] == {"level": "confidential", "categories": ["health"]}
    later = _json(capsys, "explain", "--day", "2100-01-01", "--level", "public")
    assert _rules(later)["closed/frontier"] == "terms-expired"


def test_explain_asks_as_a_key_with_the_label_of_what_it_types(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(Home(home).database)
    options = KeyOptions(frozenset({"auditor"}), default=Label(Level.PUBLIC))
    _, key = open_keys(database, Home(home)).create("Ada", options, by="test")
    database.close()
    explained = _json(capsys, "explain", "--principal", key.id)
    assert explained["principal"]["roles"] == ["auditor"]
    assert explained["label"] == {"level": "public", "categories": []}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--level", "secret"], 2),
        (["--role", "king"], 2),
        (["--day", "tomorrow"], 2),
        (["--model", "nobody"], 1),
        (["--principal", "key_none"], 1),
    ],
)
def test_explain_says_what_it_does_not_know(home: Path, arguments: list[str], code: int) -> None:
    assert main(["policy", "explain", *arguments]) == code
