"""Entries of what is in force and who may use it: configuration, policy, servers, keys, weights."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from isthmus.governance.catalogue.common import ABSENT, By, Count, Digest, Entry, Label, Maybe, Part, Why

Command = Annotated[str, Meta(description="The command that puts it in force: `serve`, `ingest`, `ask`…")]
Files = Annotated[dict[str, Digest] | Maybe, Meta(description="The set's files, each with the digest of its text.")]
Names = Annotated[list[str] | Maybe, Meta(description="Names of files.")]


class ServerStarted(Entry, frozen=True, kw_only=True, tag="server.started"):
    """A server begins to answer: with what code, configuration, policy, guards and weights."""

    server: Annotated[str, Meta(description="This run of a server; its `server.stopped` has the same.")]
    by: By
    version: Annotated[str, Meta(description="Of Isthmus.")]
    python: Annotated[str, Meta(description="Of Python.")]
    config: Annotated[Digest, Meta(description="The configuration, by the digest of its `config.changed`.")]
    policy: Annotated[Digest, Meta(description="The hash of the policy set.")]
    guards: Annotated[dict[str, str], Meta(description="The guards in force, each with its distribution's version.")]
    models: Annotated[dict[str, str], Meta(description="The models, each with the digest of its weights, if any.")]


class ServerStopped(Entry, frozen=True, kw_only=True, tag="server.stopped"):
    """A server stopped in good order. One that is killed writes none."""

    server: Annotated[str, Meta(description="The run that ended.")]


class ConfigChanged(Entry, frozen=True, kw_only=True, tag="config.changed"):
    """The configuration that takes effect differs from the one recorded last. What a secret is read from is in it, a
    secret is not; of an option's text, only the digest."""

    by: By
    why: Why
    command: Command
    before: Annotated[Digest | None, Meta(description="The digest recorded last; null for the first.")]
    digest: Annotated[Digest, Meta(description="Of all settings in canonical JSON, defaults included.")]
    settings: Annotated[
        dict[str, Any],
        Meta(description="All that is not the default; a section too large is `{bytes, digest}`."),
    ]
    changed: Annotated[
        list[str],
        Meta(description="What differs, as dotted paths. Empty: a new version has other defaults."),
    ]


class PolicyChanged(Entry, frozen=True, kw_only=True, tag="policy.changed"):
    """The policy set that a command starts with differs from the one recorded last."""

    by: By
    why: Why
    command: Command
    before: Annotated[Digest | None, Meta(description="The hash recorded last; null for the first.")]
    policy: Annotated[Digest, Meta(description="The hash of the set.")]
    files: Files = ABSENT
    added: Names = ABSENT
    removed: Names = ABSENT
    changed: Names = ABSENT
    count: Annotated[Count | Maybe, Meta(description="In place of the files, where they are too many.")] = ABSENT


class PolicyReloaded(Entry, frozen=True, kw_only=True, tag="policy.reloaded"):
    """A running server takes on another policy set, right after this is on disk."""

    by: By
    why: Why
    command: Command
    before: Annotated[Digest, Meta(description="The hash of the set in force until then.")]
    policy: Annotated[Digest, Meta(description="The hash of the set.")]
    files: Files = ABSENT
    added: Names = ABSENT
    removed: Names = ABSENT
    changed: Names = ABSENT
    count: Annotated[Count | Maybe, Meta(description="In place of the files, where they are too many.")] = ABSENT


class PolicyRejected(Entry, frozen=True, kw_only=True, tag="policy.rejected"):
    """A policy set was to be taken on and is not valid; the one in force stays."""

    by: By
    why: Why
    command: Command
    before: Annotated[Digest, Meta(description="The hash of the set that stays in force.")]
    code: Annotated[str, Meta(description="The error's code.")]


class Key(Part, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    name: Annotated[str, Meta(description="A commitment to its name, which may be a person's.")]
    roles: list[str]
    groups: list[str]
    label: Annotated[Label, Meta(description="Of what is typed with it.")]
    jurisdiction: str
    created: str
    expires: Annotated[str | None, Meta(description="From when on it is refused; null: never.")]
    budget: Annotated[float | None, Meta(description="What it may spend in a month; null: no limit.")]
    revoked: str | None


class KeyId(Part, frozen=True, kw_only=True):
    """Which key."""

    id: str


class KeyCreated(Entry, frozen=True, kw_only=True, tag="key.created"):
    """A key is made, with these rights, this budget and this end. It counts once this is on disk."""

    by: By
    key: Key


class KeyRevoked(Entry, frozen=True, kw_only=True, tag="key.revoked"):
    """A key is refused from now on."""

    by: By
    key: KeyId


class KeyBootstrap(Entry, frozen=True, kw_only=True, tag="key.bootstrap"):
    """A server starts with an administrator's key from its environment (`ISTHMUS_BOOTSTRAP_KEY`)."""

    by: By
    key: Annotated[str, Meta(description="The key's id.")]


class _OfWeights(Entry, frozen=True, kw_only=True):
    weights: Annotated[str, Meta(description="Their name: a starter's, or `hub:OWNER/NAME/FILE`.")]
    digest: Annotated[str, Meta(description="`sha256:…` of the file, or of the list of files; empty: not known.")]
    by: By


class ModelsPulled(_OfWeights, frozen=True, kw_only=True, tag="models.pulled"):
    """Weights were fetched into the cache folder, and have their digest. In the log of the home folder that the
    command was run for; the cache is shared by all of them."""


class ModelsRemoved(_OfWeights, frozen=True, kw_only=True, tag="models.removed"):
    """Weights are about to be deleted from the cache folder."""


TYPES = (
    ServerStarted,
    ServerStopped,
    ConfigChanged,
    PolicyChanged,
    PolicyReloaded,
    PolicyRejected,
    KeyCreated,
    KeyRevoked,
    KeyBootstrap,
    ModelsPulled,
    ModelsRemoved,
)
