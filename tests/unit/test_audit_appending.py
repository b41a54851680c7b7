"""The file that ``isthmus audit events --append`` goes on with, whatever a crash or somebody else left in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.cli.audit.appending import Appending
from isthmus.errors import InvalidRequest

LINE = b'{"seq":7,"type":"t"}'


def test_a_new_file_is_for_its_owner_and_begins_with_nothing(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    opened = Appending(file)
    assert (opened.last, opened.next) == (None, None)
    opened.write_line(LINE, 7)
    opened.flush()
    assert file.read_bytes() == LINE + b"\n"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", [b"", b"{", b'{"seq":8,"ty', b"\0\0\0"])
def test_a_torn_end_is_cut_and_what_follows_is_not_glued_to_it(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b'{"seq":6}\n' + LINE + b"\n" + torn)
    opened = Appending(file)
    assert (opened.last, opened.next) == (LINE, 8)
    opened.write_line(b'{"seq":8}', 8)
    assert file.read_bytes() == b'{"seq":6}\n' + LINE + b'\n{"seq":8}\n'


def test_the_only_line_is_torn(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b'{"seq"')
    assert Appending(file).next is None
    assert file.read_bytes() == b""


@pytest.mark.parametrize(
    "held",
    [b"root:x:0:0\n", b"root:x:0:0", b"\n", b"[]\n", b"{}\n", b'{"seq":"7"}\n', b'{"seq":true}\n', b'{"seq":-1}\n{',
     b"\xff\xfe\n", b"[" * 100_000 + b"\n", b'{"seq":1' + b"0" * 200_000],
)  # fmt: skip
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "passwd"
    file.write_bytes(held)
    with pytest.raises(InvalidRequest, match="something else"):
        Appending(file)
    assert file.read_bytes() == held


def test_two_do_not_append_to_one_file(tmp_path: Path) -> None:
    held = Appending(tmp_path / "log.jsonl")
    with pytest.raises(InvalidRequest, match="Another process"):
        Appending(tmp_path / "log.jsonl")
    assert held.next is None


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "log.jsonl"):
        with pytest.raises(InvalidRequest, match="cannot be appended to"):
            Appending(path)
