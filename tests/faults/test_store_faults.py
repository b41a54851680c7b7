"""The store where disks fill, files are damaged and processes are killed: nothing acknowledged is lost, or half."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from isthmus.data.database import Database
from isthmus.data.documents import Documents
from isthmus.data.passages import Passages
from isthmus.errors import StoreUnavailable
from unit.retrieval_fixtures import BEN, document, store

TESTS = Path(__file__).resolve().parents[1]

WRITER = """
    import sys
    from pathlib import Path
    from unit.retrieval_fixtures import document
    from isthmus.data.database import Database
    from isthmus.data.documents import Documents

    documents = Documents(Database(Path(sys.argv[1])))
    for number in range(10_000):
        documents.put(document(f"d{number}", "first words", "second words", groups=frozenset({"g"})))
        print(number, flush=True)
"""


def program(code: str, path: Path) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), str(path)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TESTS)}


@pytest.mark.parametrize("acknowledged", [1, 5, 12])
def test_a_writer_that_is_killed_loses_nothing_acknowledged_and_leaves_nothing_half(tmp_path: Path, acknowledged: int):
    path = tmp_path / "isthmus.db"
    Database(path).close()
    with subprocess.Popen(program(WRITER, path), stdout=subprocess.PIPE, env=environment()) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    last = max([last, *map(int, rest)])
    database = Database(path)
    stored = Documents(database).list()
    assert {f"d{number}" for number in range(last + 1)} <= {found.source for found in stored}
    snapshot = Passages(database).current()
    assert len(snapshot.numbers) == 2 * len(stored) == sum(found.chunks for found in stored)
    assert all(found.groups == {"g"} for found in stored)
    assert len(Passages(database).occurrences("first")) == len(stored)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    database.close()


FILLER = """
    import resource, signal, sys
    from pathlib import Path
    from unit.retrieval_fixtures import document
    from isthmus.data.database import Database
    from isthmus.data.documents import Documents
    from isthmus.errors import StoreUnavailable

    path = Path(sys.argv[1])
    database = Database(path)
    documents = Documents(database)
    documents.put(document("before", "words that stay"))
    database.checkpoint()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20_000,) * 2)
    try:
        documents.put(document("big", *("many different words " * 50 + str(n) for n in range(300))))
    except StoreUnavailable as error:
        print(error.code, error.status)
    print([found.source for found in documents.list()])
"""


def test_a_document_for_which_there_is_no_room_leaves_no_trace(tmp_path: Path):
    ran = subprocess.run(
        program(FILLER, tmp_path / "isthmus.db"), capture_output=True, text=True, env=environment(), check=True
    )
    assert ran.stdout.splitlines() == ["store_unavailable 503", "['before']"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_full_database_says_so(tmp_path: Path):
    with store(tmp_path / "isthmus.db") as held:
        with held.database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable) as full:
            held.documents.put(document("big", *("many words " * 50 + str(n) for n in range(300))))
        assert "disk is full" in full.value.hint
        assert held.documents.list() == []


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path):
    path = tmp_path / "isthmus.db"
    path.write_bytes(b"these are the holiday photos\n" * 500)
    with pytest.raises(StoreUnavailable) as refused:
        Database(path)
    assert "not a database of Isthmus" in refused.value.hint
    assert path.read_bytes() == b"these are the holiday photos\n" * 500


def test_a_damaged_page_is_an_error_and_never_a_wrong_answer(tmp_path: Path):
    path = tmp_path / "isthmus.db"
    with store(path) as held:
        for number in range(40):
            held.documents.put(document(f"d{number}", f"words of {number}"))
        held.database.checkpoint()
    content = bytearray(path.read_bytes())
    for page in range(2, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)

    def use() -> None:
        database = Database(path)
        Passages(database).current()
        Documents(database).list(BEN)

    with pytest.raises(StoreUnavailable) as damaged:
        use()
    assert "damaged" in damaged.value.hint


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path: Path):
    (tmp_path / "isthmus.db").mkdir()
    with pytest.raises(StoreUnavailable):
        Database(tmp_path / "isthmus.db")
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        Database(tmp_path / "file" / "isthmus.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser writes to whatever is read-only")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreUnavailable):
        Database(tmp_path / "isthmus.db")


def test_many_writers_wait_for_each_other(tmp_path: Path):
    path = tmp_path / "isthmus.db"
    code = """
        import sys
        from pathlib import Path
        from unit.retrieval_fixtures import document
        from isthmus.data.database import Database
        from isthmus.data.documents import Documents
        documents = Documents(Database(Path(sys.argv[1])))
        for number in range(5):
            documents.put(document(f"{sys.argv[2]}-{number}", "words"))
    """
    writers = [subprocess.Popen([*program(code, path), str(number)], env=environment()) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]  # all three created and migrated the same file
    database = Database(path)
    assert len(Documents(database).list()) == 15
    assert database.version("documents") == 15
    database.close()
