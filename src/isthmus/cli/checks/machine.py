"""The machine: Python, packages, the port, and model servers that run here."""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress

from isthmus.cli.checks.finding import Finding, Setup
from isthmus.models import discover

#: Imported in a process of their own: one built for another processor would end ours.
_NATIVE = ("numpy", "onnxruntime", "tokenizers", "xllamacpp", "cedarpy", "cryptography.hazmat.bindings._rust", "re2")


def python(setup: Setup) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("python", "ok", f"Python {version}")
    else:
        yield Finding("python", "fail", f"Python {version} is not supported.", "Use Python 3.11, 3.12 or 3.13.")


def packages(setup: Setup) -> Iterator[Finding]:
    missing = [name for name in _required() if not _installed(name)]
    if missing:
        yield Finding("packages", "fail", f"Not installed: {', '.join(missing)}.", "Run `make install`.")
        return
    loop = "import importlib, sys\nfor name in sys.argv[1:]:\n print(name, flush=True)\n importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", loop, *_NATIVE], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        yield Finding("packages", "ok", "All packages are installed, and the native ones load.")
        return
    name = (done.stdout.split() or ["python"])[-1]
    reason = f"signal {-done.returncode}" if done.returncode < 0 else (done.stderr.strip().splitlines() or [""])[-1]
    hint = "It may be built for another processor or system: see the package's page for builds of it."
    yield Finding("packages", "fail", f"{name} does not load: {reason}.", hint)


def _required() -> list[str]:
    """The base requirements of this distribution (not those of extras)."""
    requirements = importlib.metadata.requires("isthmus") or []
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in requirements if "extra ==" not in line)
    return [match.group() for match in names if match is not None]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def port(setup: Setup) -> Iterator[Finding]:
    server = setup.settings.server
    place = f"{server.host}:{server.port}"
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((server.host, server.port))
    except OSError as error:
        yield _taken(place, error)
    else:
        yield Finding("port", "ok", f"{place} is free.")


def _taken(place: str, error: OSError) -> Finding:
    with (
        closing(http.client.HTTPConnection(place, timeout=1)) as connection,
        suppress(OSError, http.client.HTTPException),
    ):
        connection.request("GET", "/healthz")
        if connection.getresponse().status == 200:
            return Finding("port", "ok", f"A server answers at {place} already.")
    hint = "Stop what listens there, or choose another server.port in isthmus.yaml."
    return Finding("port", "fail", f"{place} cannot be listened on: {os.strerror(error.errno or 0)}.", hint)


def servers(setup: Setup) -> Iterator[Finding]:
    found = discover.find(setup.places)
    for server in found:
        models = ", ".join(server.models) or "no models"
        yield Finding(
            "servers", "ok", f"{server.name} runs at {server.url}: {models}. To use it: `provider: {server.provider}`."
        )
    if not found:
        names = " nor ".join(place.name for place in setup.places)
        yield Finding("servers", "ok", f"Neither {names} runs here (none is needed).")
