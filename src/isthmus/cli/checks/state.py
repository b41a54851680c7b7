"""The home folder: its configuration, secrets and policies."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from isthmus.cli.checks.finding import Finding, Setup
from isthmus.config import secret
from isthmus.errors import IsthmusError
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
