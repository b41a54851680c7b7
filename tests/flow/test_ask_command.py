"""``isthmus ask`` and ``isthmus retrieve`` as a person types them, with a scripted model."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from isthmus.cli import ask, main, retrieve
from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.labels import INTERNAL
from isthmus.messages import Passage
from isthmus.seams import NewChunk, NewDocument, Retrieval

CONFIG = """
models: [{id: local/echo, provider: scripted, locality: in_process, options: {echo: true}}]
knowledge: {collections: {handbook: {}}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISTHMUS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "isthmus.yaml").write_text(CONFIG, encoding="utf8")
    return tmp_path


def put(home: Path, collection: str, *groups: str) -> None:
    chunk = NewChunk("Twenty-seven days.", 0, 18, None, (), INTERNAL, np.ones(4, dtype=np.float32))
    document = NewDocument(
        collection, f"/{collection}.md", "Leave", "text/markdown", "sha256:0", chunk.text, INTERNAL, frozenset(groups),
        "", (chunk,),
    )  # fmt: skip
    database = Database(Home(home).database)
    Documents(database).put(document)
    database.close()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)["error"]


def test_an_answer_ends_with_where_its_record_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "hello there"]) == 0
    shown = capsys.readouterr().out
    assert "hello there" in shown
    assert "  cost     free\n" in shown
    request = shown.split("isthmus audit show ")[1].strip()
    assert main(["audit", "show", request]) == 0
    assert "answered by local/echo" in capsys.readouterr().out


def test_who_asks_and_ingests_at_a_terminal_bears_the_name_of_who_changes_things_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "leave.md").write_text("# Leave\n\nTwenty-seven days.\n", encoding="utf8")
    assert main(["ask", "hello"]) == 0
    assert main(["ingest", str(home / "leave.md"), "--collection", "handbook", "--level", "internal"]) == 0
    assert main(["keys", "create", "--name", "me"]) == 0
    capsys.readouterr()
    assert main(["audit", "search", "--principal", f"uid:{os.getuid()}", "--jsonl"]) == 0
    types = {json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()}
    assert {"intent", "outcome", "document.added", "key.created"} <= types


def test_what_cannot_be_asked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "ask", " \n")[0] == 2
    code, error = refused(capsys, "ask", "hello", "--model", "nope")
    assert (code, error["code"]) == (1, "model_not_found")


@pytest.mark.parametrize("command", ["ask", "retrieve"])
def test_a_collection_that_is_not_there(home: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(home, "memos")
    put(home, "board", "management")
    code, error = refused(capsys, command, "hello", "--collection", "board")
    assert (code, error["code"]) == (2, "invalid_request")
    assert error["message"] == "There is no collection 'board'; there are: handbook, memos."
    _, error = refused(capsys, command, "hello", "--collection", "x", "--group", "management")
    assert error["message"] == "There is no collection 'x'; there are: board, handbook, memos."


FACTS: dict[str, Any] = {
    "request": "req_1", "model": "m", "label": {"text": "internal"}, "receipt": {"index": 4, "log": "log"},
    "citations": [
        {"number": 3, "title": "Leave [a]", "quote": "27\n days", "page": 2, "supported": True},
        {"number": 1, "title": "Travel", "quote": "", "page": None, "supported": False},
    ],
    "cost": {"amount": "0.001200", "currency": "EUR"},
}  # fmt: skip


def test_citations_have_the_numbers_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(record=True, file=io.StringIO(), width=200)
    ask.render(console, FACTS)
    shown = console.export_text()
    assert "[3] Leave [a], page 2: “27 days”" in shown
    assert "[1] Travel (the passage does not support this)" in shown
    assert "cost     0.0012 EUR" in shown
    assert "receipt  entry 4 of log: isthmus audit show req_1" in shown


def test_a_heading_that_is_the_title_is_said_once() -> None:
    passage = Passage("c1", "doc_1", "Leave", "/a.md", "handbook", "27 days.", INTERNAL, 0, 8)
    console = Console(record=True, file=io.StringIO(), width=200)
    retrieve.render(console, Retrieval((replace(passage, headings=("Leave", "Parents")),), True, "close"))
    assert console.export_text().splitlines()[0] == "[1] Leave › Parents"


def test_help_shows_how_to_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrieve", "--help"]) == 0
    assert "retrieve [OPTIONS] QUESTION" in " ".join(capsys.readouterr().out.split())


def test_a_file_that_is_not_text_says_so_without_numbers(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "isthmus.yaml").write_bytes(b"models: \xff")
    code, error = refused(capsys, "policy", "check")
    assert (code, error["message"]) == (2, "isthmus.yaml cannot be read: it is not UTF-8 text.")
