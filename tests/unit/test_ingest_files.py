"""Which files are found, and what may be deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isthmus.data.files import Found, Root, explore, gone, read
from isthmus.errors import DocumentRejected


def test_the_order_is_fixed(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a/1.txt", "c.txt", "a/0.txt", "B.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = [str(Path(one.source).relative_to(tmp_path.resolve())) for one in explore(tmp_path).found]
    assert found == ["B.txt", "c.txt", "a/0.txt", "a/1.txt", "b/2.txt"]


def test_a_name_that_is_not_utf8_becomes_valid_text(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    try:
        with open(path, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("NOT RUN: this file system wants UTF-8 names")
    (found,) = explore(tmp_path).found
    assert found.source.encode("utf8").endswith(b"caf\\xe9.txt")
    assert read(found.path, 10) == b"x"


def test_only_what_is_seen_to_be_gone_is_gone() -> None:
    found = (Found(Path("/f/a"), "/f/a"), Found(Path("/f/locked"), "/f/locked", "The folder cannot be read."))
    stored = ["/f/a", "/f/b", "/f/locked/c", "/f2/d", "/f"]
    assert gone(Root("/f", True, found), stored) == ["/f/b"]
    assert gone(Root("/f", False, found), stored) == []


def test_a_link_put_in_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (tmp_path / "a.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(DocumentRejected):
        read(tmp_path / "a.txt", 100)
