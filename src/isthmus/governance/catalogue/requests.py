"""Entries of requests: what was decided before a call, and how it ended."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from isthmus.governance.catalogue.common import (
    ABSENT,
    Collection,
    Cost,
    Count,
    Entry,
    Findings,
    Hash,
    Label,
    Maybe,
    Model,
    Part,
    PolicyHash,
    Principal,
    Purpose,
    Request,
    Rule,
)  # fmt: skip


class _OfRequest(Entry, frozen=True, kw_only=True):
    request: Request
    principal: Principal
    purpose: Purpose
    label: Annotated[Label, Meta(description="The join of the labels of all its text, as far as it was known then.")]
    of: Annotated[str | Maybe, Meta(description="The request that this embedding of a query is part of.")] = ABSENT
    collection: Collection | Maybe = ABSENT


class Terms(Part, frozen=True, kw_only=True):
    """The evidence behind what is declared of retention."""

    contract: str
    expires: Annotated[str | None, Meta(description="The last day on which the contract holds.")]
    subprocessors: list[str]


class Passage(Part, frozen=True, kw_only=True):
    """A passage that was put before the model."""

    document: str
    chunk: str
    collection: str


class Usage(Part, frozen=True, kw_only=True):
    """Tokens, as the model's runtime or vendor counts them."""

    prompt: int
    completion: int
    cached: int
    reasoning: int
    estimated: Annotated[bool, Meta(description="Our estimate, because the vendor told none.")]


class Intent(_OfRequest, frozen=True, kw_only=True, tag="intent"):
    """A model is about to be called: what is sent, to whom, and why it may be. On disk before a call that leaves the
    premises. One for each attempt; the retries of an attempt send the same again."""

    model: Model
    asked: Annotated[str, Meta(description="The model that the client named, or `auto`.")]
    provider: Annotated[str, Meta(description="The provider that calls it.")]
    vendor: Annotated[str, Meta(description="Host and port of who receives it; empty for a model in this process.")]
    locality: Annotated[Literal["in_process", "on_premises", "api"], Meta(description="Where it runs, as declared.")]
    jurisdiction: Annotated[str, Meta(description="Where it processes, as declared at that moment.")]
    retention: Annotated[str, Meta(description="What the vendor keeps, as declared: `none`, `30d`; empty: unknown.")]
    terms: Annotated[Terms | Maybe, Meta(description="The contract in force at that moment.")] = ABSENT
    texts: Annotated[Count, Meta(description="Pieces of text that are sent.")]
    images: Annotated[Count, Meta(description="Images that are sent.")]
    characters: Annotated[Count, Meta(description="Characters of text that are sent, tools and schemas included.")]
    rule: Rule
    obligations: Annotated[list[str], Meta(description="What the rule asks for, and is done: `mark`, `keep`.")]
    policy: PolicyHash
    reason: Annotated[str, Meta(description="Why this model, in words.")]
    admitted: Annotated[list[str], Meta(description="The models that might have been called, by policy.")]
    denied: Annotated[dict[str, str], Meta(description="Of the others, the rule that denied each.")]
    candidates: Annotated[list[str], Meta(description="The route: models in the order in which they are tried.")]
    attempt: Annotated[int, Meta(ge=1, description="Which of the candidates this is, from 1.")]
    findings: Findings
    found: Annotated[Findings, Meta(description="The same, in the passages.")]
    passages: Annotated[list[Passage], Meta(description="What was retrieved and put before the model.")]
    prompt: Annotated[Hash, Meta(description="The commitment to all text that is sent.")]
    kept: Annotated[bool | Maybe, Meta(description="Whether content is kept, because the rule says so.")] = ABSENT
    sealed: Annotated[dict[str, Hash] | Maybe, Meta(description="SHA-256 of each ciphertext that is kept.")] = ABSENT


class Outcome(_OfRequest, frozen=True, kw_only=True, tag="outcome"):
    """How a call ended, on disk before the last byte of the answer. Of a chat: the fields from `snapshot` on; of an
    embedding: `texts` and `tokens`."""

    model: Model
    weights: Annotated[str, Meta(description="The digest of the weights, where they are held here.")]
    cost: Cost
    error: Annotated[str | Maybe, Meta(description="The code, where it ended badly: `cancelled`, `guard_blocked`…")] = (
        ABSENT
    )
    snapshot: Annotated[
        str | Maybe, Meta(description="The vendor's own name of what answered; its digest, where it is no name.")
    ] = ABSENT
    finish: Literal["stop", "length", "tool_calls", "content_filter", "cut"] | Maybe = ABSENT
    usage: Usage | Maybe = ABSENT
    answer: Annotated[Hash | Maybe, Meta(description="The commitment to the answer's text.")] = ABSENT
    redacted: Annotated[
        dict[str, Count] | Maybe, Meta(description="What the output guards cut out of the answer, by kind.")
    ] = ABSENT
    kept: Annotated[bool | Maybe, Meta(description="Whether the answer is kept, because the rule says so.")] = ABSENT
    sealed: Annotated[dict[str, Hash] | Maybe, Meta(description="SHA-256 of each ciphertext that is kept.")] = ABSENT
    texts: Annotated[Count | Maybe, Meta(description="How many texts were embedded.")] = ABSENT
    tokens: Annotated[Count | Maybe, Meta(description="How many tokens they had.")] = ABSENT


class Failed(_OfRequest, frozen=True, kw_only=True, tag="failed"):
    """One attempt failed, or was not made because the budget is spent; another may follow, with an intent of its
    own."""

    model: Model
    code: Annotated[str, Meta(description="The error's code.")]
    attempt: Annotated[int, Meta(ge=1, description="Which of the candidates this was.")]


class Abstained(_OfRequest, frozen=True, kw_only=True, tag="abstained"):
    """No model was asked: nothing in the documents was close enough to the question."""

    reason: Annotated[str, Meta(description="Why, with the scores.")]


class Stopped(_OfRequest, frozen=True, kw_only=True, tag="stopped"):
    """The request ended before an answer began: refused, failed, or the client left."""

    model: Annotated[str, Meta(description="The model that was asked for.")]
    code: Annotated[str, Meta(description="The error's code, or `cancelled` where the client left.")]
    findings: Findings
    rule: Rule | Maybe = ABSENT
    rules: Annotated[dict[str, str] | Maybe, Meta(description="The rule that decided, for each model asked for.")] = (
        ABSENT
    )
    policy: PolicyHash | Maybe = ABSENT


TYPES = (Intent, Outcome, Failed, Abstained, Stopped)
