"""Who is asking: a key, or a person on whose behalf a key speaks."""

from __future__ import annotations

import os
from dataclasses import dataclass

from isthmus.errors import Forbidden
from isthmus.labels import INTERNAL, Label

#: user asks; curator ingests and labels own collections; reviewer decides on held requests; auditor reads the log;
#: policy writes policy; admin makes keys and manages models (and not policy).
ROLES = frozenset({"user", "curator", "reviewer", "auditor", "policy", "admin"})


@dataclass(frozen=True, slots=True)
class Principal:
    """``id`` is a pseudonym (the key's id), never a secret. ``default`` is the label of what this principal types."""

    id: str
    name: str
    roles: frozenset[str] = frozenset({"user"})
    groups: frozenset[str] = frozenset()
    default: Label = INTERNAL
    jurisdiction: str = ""

    def require(self, role: str) -> None:
        """Raise :class:`Forbidden` unless the principal has the role."""
        if role not in self.roles:
            raise Forbidden(f"This needs the role {role!r}.", details={"role": role})


def operator() -> str:
    """Who runs this process, for the record: the number of the system's user (``uid:1000``), as a name is personal
    data. Where people share a user or use sudo, it is that user's."""
    return f"uid:{os.getuid()}"


def local_user(roles: frozenset[str], groups: frozenset[str] = frozenset(), default: Label = INTERNAL) -> Principal:
    """Whoever works at this machine's command line: in the record under the same name as what they change there."""
    return Principal(operator(), "local user", roles, groups, default)
