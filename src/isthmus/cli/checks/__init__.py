"""What ``isthmus doctor`` checks: one function each, in the order in which a person would put things right."""

from __future__ import annotations

from isthmus.cli.checks import local, log, machine, state
from isthmus.cli.checks.finding import Check, Finding, Setup

__all__ = ["CHECKS", "Finding", "Setup"]

CHECKS: tuple[Check, ...] = (
    machine.python,
    machine.packages,
    state.configuration,
    state.home,
    state.secret_files,
    state.keys,
    local.weights,
    local.memory,
    state.policy,
    log.audit,
    log.witnesses,
    machine.port,
    machine.servers,
)
