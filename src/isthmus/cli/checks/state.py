"""The home folder: its configuration, secrets, policies and log."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from isthmus.cli.checks.finding import Finding, Setup
from isthmus.config import secret
from isthmus.errors import IsthmusError, NotFound
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import VKEY
from isthmus.governance.logs import storage
from isthmus.governance.policy.policyset import PolicySet, policy_folder


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


def policy(setup: Setup) -> Iterator[Finding]:
    folder = policy_folder(setup.settings, setup.home)
    try:
        yield Finding("policy", "ok", f"{len(PolicySet.load(folder).rules)} policies of {folder} are valid.")
    except IsthmusError as error:
        yield Finding("policy", "fail", error.message, error.hint)


def audit(setup: Setup) -> Iterator[Finding]:
    """That the log can be read and is signed; `isthmus audit verify` checks every entry."""
    try:
        size = Reader(storage(setup.settings, setup.home)).checkpoint().checkpoint.size
        yield Finding("audit", "ok", f"The log has {size} signed entr{'y' if size == 1 else 'ies'}.")
    except NotFound as error:
        yield Finding("audit", "ok", error.message)
    except IsthmusError as error:
        yield Finding("audit", "fail", error.message, error.hint)
    if setup.settings.audit.database is not None and (setup.home.audit / VKEY).exists():
        yield Finding(
            "audit", "warn", f"{setup.home.audit} holds another log, which ended when the database's began.", _OTHER
        )


_OTHER = "Keep it: it is evidence. Export it with `isthmus audit export` and a configuration without audit.database."
