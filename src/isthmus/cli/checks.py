"""What ``isthmus doctor`` checks: one function each, in the order in which a person would put things right."""

from __future__ import annotations

import http.client
import importlib.metadata
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from isthmus.config import Home, ModelSettings, Settings, cache_folder, secret
from isthmus.errors import IsthmusError
from isthmus.models import discover, fit, gguf
from isthmus.models.weights import Store
from isthmus.models.weights.digests import no_progress

Status: TypeAlias = Literal["ok", "warn", "fail"]
_CONTEXT = 8192
#: Imported in a process of their own: one built for another processor would end ours.
_NATIVE = ("numpy", "onnxruntime", "tokenizers", "xllamacpp", "cedarpy", "cryptography.hazmat.bindings._rust", "re2")


@dataclass(frozen=True, slots=True)
class Finding:
    """``hint`` says what to do; empty where nothing is to be done."""

    check: str
    status: Status
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is looked at. ``problem``: why the configuration could not be read (``settings`` are then the defaults)."""

    settings: Settings
    home: Home
    problem: IsthmusError | None = None
    places: Sequence[discover.Place] = discover.PLACES


Check: TypeAlias = Callable[[Setup], Iterator[Finding]]


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


def configuration(setup: Setup) -> Iterator[Finding]:
    if setup.problem is not None:
        yield Finding("configuration", "fail", setup.problem.message, setup.problem.hint)
    elif setup.home.source is None:
        yield Finding("configuration", "warn", "There is no isthmus.yaml: the defaults hold.", "Run `isthmus init`.")
    else:
        count = len(setup.settings.models)
        yield Finding("configuration", "ok", f"{setup.home.source} is valid ({count} model{'s' * (count != 1)}).")


def home(setup: Setup) -> Iterator[Finding]:
    path = setup.home.path
    if not path.exists():
        yield Finding("home", "warn", f"{path} does not exist yet.", "Run `isthmus init`.")
        return
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        yield Finding(
            "home", "fail", f"{path} cannot be written: {error.strerror}.", "Give it to this user, or set ISTHMUS_HOME."
        )
        return
    yield _private("home", path, 0o700)


def secret_files(setup: Setup) -> Iterator[Finding]:
    folder = setup.home.secrets
    if not folder.is_dir():
        yield Finding("secrets", "ok", "No secrets yet: they are made at first start.")
        return
    findings = [_private("secrets", folder, 0o700)]
    findings += [_private("secrets", path, 0o600) for path in sorted(folder.iterdir()) if path.is_file()]
    yield from [finding for finding in findings if finding.status != "ok"] or [
        Finding("secrets", "ok", f"{len(findings) - 1} files, which only their owner can read.")
    ]


def _private(check: str, path: Path, mode: int) -> Finding:
    found = stat.S_IMODE(path.stat().st_mode)
    if found & 0o077:
        return Finding(check, "fail", f"Others can read {path} (mode {found:03o}).", f"Run `chmod {mode:o} {path}`.")
    return Finding(check, "ok", f"{path} is writable, and private.")


def keys(setup: Setup) -> Iterator[Finding]:
    """The vendors' keys: that they are there, never what they are."""
    for model in setup.settings.models:
        if model.api_key is None:
            continue
        try:
            secret(model.api_key, setup.home)
            yield Finding("keys", "ok", f"The key of {model.id} is there.")
        except IsthmusError as error:
            yield Finding("keys", "fail", f"{model.id}: {error.message}", error.hint)


def weights(setup: Setup) -> Iterator[Finding]:
    store = Store(cache_folder())
    for model in setup.settings.models:
        if model.weights is None:
            continue
        try:
            store.find(model.weights).verify(no_progress, quick=True)
            yield Finding("weights", "ok", f"{model.id}: {model.weights} is here and has its digest.")
        except IsthmusError as error:
            yield Finding("weights", "fail", f"{model.id}: {error.message}", error.hint)


def memory(setup: Setup) -> Iterator[Finding]:
    budget = fit.budget(setup.settings.runtime.memory)
    for model in setup.settings.models:
        path = _file(model)
        if path is None:
            continue
        try:
            header = gguf.read(path)
        except IsthmusError:
            continue  # weights of another kind
        result = fit.fit(header, model.context or _CONTEXT, budget)
        facts = f"{model.id} needs {result.need / 1e9:.1f} GB for {result.context} tokens, of {budget / 1e9:.1f} GB"
        if result.fits:
            yield Finding("memory", "ok", f"{facts}.")
        else:
            hint = f"At most {result.largest} tokens of `context` fit; or choose smaller weights."
            yield Finding(
                "memory", "fail", f"{facts}: it does not fit.", hint if result.largest else "Choose smaller weights."
            )


def _file(model: ModelSettings) -> Path | None:
    try:
        path = Store(cache_folder()).find(model.weights).locate() if model.weights is not None else None
    except IsthmusError:
        return None  # said by `weights`
    return path if path is not None and path.is_file() else None


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


CHECKS: tuple[Check, ...] = (
    python,
    packages,
    configuration,
    home,
    secret_files,
    keys,
    weights,
    memory,
    port,
    servers,
)
