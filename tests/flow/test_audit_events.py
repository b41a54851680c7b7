"""What the log tells of every way that a request can go, and that it never tells what was said, or by whom."""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from flow.audit_events_fixtures import KEY, MARK, MODES, Audited, audited, entries, raw_entries
from isthmus.governance import catalogue

Entries = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with audited(tmp_path_factory.mktemp("audited")) as served:
        yield served


@pytest.fixture(autouse=True)
def _fresh(world: Audited) -> None:
    world.vendor.reset()


def types(found: Entries) -> list[str]:
    return [entry["type"] for entry in found]


# ---------------------------------------------------------------- answers


def test_a_model_in_this_process(world: Audited) -> None:
    intent, outcome = world.ask(model="local/echo")
    assert types([intent, outcome]) == ["intent", "outcome"]
    assert (intent["asked"], intent["model"], intent["provider"], intent["vendor"]) == (
        "local/echo", "local/echo", "scripted", ""
    )  # fmt: skip
    assert (intent["texts"], intent["images"], intent["characters"]) == (2, 0, 2 * len(MARK) + len(" system hello"))
    assert intent["candidates"] == ["local/echo"]
    assert {"local/echo", "local/leaky", "closed/frontier"} <= set(intent["admitted"])
    assert intent["denied"] == {f"closed/{mode}": "above-clearance" for mode in MODES}
    assert (outcome["finish"], outcome["redacted"]) == ("stop", {})
    assert "error" not in outcome


def test_a_call_that_leaves_says_to_whom_and_under_which_terms(world: Audited) -> None:
    intent, outcome = world.ask(who="web", model="closed/frontier")
    assert (intent["vendor"], intent["locality"], intent["jurisdiction"], intent["retention"]) == (
        world.host, "api", "US", "none"
    )  # fmt: skip
    assert intent["terms"] == {"contract": "DPA-7", "expires": "2099-01-01", "subprocessors": ["EU"]}
    assert intent["rule"]
    assert (outcome["snapshot"], outcome["cost"]) == ("frontier-1", {"amount": "0.000090", "currency": "USD"})
    assert outcome["usage"]["prompt"] == 10


def test_auto_says_the_route_and_why(world: Audited) -> None:
    intent, _ = world.ask("think it through", who="web")
    assert intent["asked"] == "auto"
    assert intent["candidates"][:2] == ["closed/frontier", "closed/second"]
    assert intent["reason"].startswith("closed: the request asks for reasoning")
    assert set(intent["candidates"]) <= set(intent["admitted"])


def test_a_stream_leaves_the_same_entries(world: Audited) -> None:
    assert types(world.ask(model="local/echo", stream=True)) == ["intent", "outcome"]


def test_each_attempt_of_a_failover_has_its_own_intent(world: Audited) -> None:
    world.vendor.mode = "fail"
    found = world.ask("think it through", reasoning_effort="high")
    intents = [entry for entry in found if entry["type"] == "intent"]
    failed = [entry for entry in found if entry["type"] == "failed"]
    assert [intent["attempt"] for intent in intents] == [1, 2, 3]
    assert [(entry["attempt"], entry["code"]) for entry in failed] == [(1, "upstream_failed"), (2, "upstream_failed")]
    assert intents[0]["candidates"] == [intent["model"] for intent in intents]
    assert found[-1]["type"] == "outcome"


def test_what_the_output_guards_cut_out_is_counted(world: Audited) -> None:
    *_, outcome = world.ask(model="local/leaky")
    assert sum(outcome["redacted"].values()) == 1
    assert KEY not in json.dumps(outcome)


def test_an_answer_from_documents_names_them_and_what_was_found_in_them(world: Audited) -> None:
    found = world.ask("How many days of holiday has everyone?", isthmus={"knowledge": ["handbook"]}, model="local/echo")
    intent = next(entry for entry in found if entry["type"] == "intent")
    assert {passage["collection"] for passage in intent["passages"]} == {"handbook"}
    assert intent["found"] == {} or all(isinstance(count, int) for count in intent["found"].values())
    embedded = [entry for entry in entries(world.site.home) if entry.get("of") == intent["request"]]
    assert types(embedded) == ["intent", "outcome"]
    assert (embedded[0]["vendor"], embedded[0]["model"]) == (world.host, "closed/vectors")


def test_findings_are_kinds_and_counts(world: Audited) -> None:
    intent, _ = world.ask("my IBAN is DE89 3704 0044 0532 0130 00", model="local/echo")
    assert intent["findings"]["IBAN"] == 1
    assert intent["label"]["level"] == "confidential"


def test_content_that_is_kept_is_kept_sealed(world: Audited) -> None:
    intent, outcome = world.ask(model="local/echo", isthmus={"purpose": "kept"})
    assert intent["obligations"] == ["keep"]
    assert (intent["kept"], list(intent["sealed"])) == (True, ["prompt"])
    assert (outcome["kept"], list(outcome["sealed"])) == (True, ["answer"])


def test_a_purpose_that_is_no_name_is_a_digest(world: Audited) -> None:
    told = f"for Anna Schmidt, {MARK}"
    intent, outcome = world.ask(model="local/echo", isthmus={"purpose": told})
    assert intent["purpose"] == outcome["purpose"] == f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"
    assert world.ask(model="local/echo", isthmus={"purpose": "hr/appraisal-2.0"})[0]["purpose"] == "hr/appraisal-2.0"


def test_tools_schemas_and_images_are_counted(world: Audited) -> None:
    tool = {"type": "function", "function": {"name": f"look_{MARK}", "description": f"{MARK} description",
            "parameters": {"type": "object", "properties": {MARK: {"type": "string"}}}}}  # fmt: skip
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": f"{MARK} what is this?"}, image]}]
    intent, _ = world.ask(model="local/caller", messages=messages, tools=[tool], stop=[f"{MARK} stop"])
    assert (intent["texts"], intent["images"]) == (1, 1)
    assert intent["characters"] > len(f"{MARK} what is this?") + len(f"{MARK} description") + len(f"{MARK} stop")


# ---------------------------------------------------------------- no answer


def test_refused_by_policy(world: Audited) -> None:
    (stopped,) = world.ask("my IBAN is DE89 3704 0044 0532 0130 00", model="closed/frontier")
    assert (stopped["code"], stopped["model"], stopped["rule"]) == (
        "policy_denied", "closed/frontier", "confidential-stays-on-premises"
    )  # fmt: skip
    assert stopped["findings"]["IBAN"] == 1
    assert stopped["label"]["level"] == "confidential"
    assert stopped["rules"] == {"closed/frontier": "confidential-stays-on-premises"}
    assert not world.vendor.received


def test_held_for_a_person(world: Audited) -> None:
    (stopped,) = world.ask(model="local/echo", isthmus={"purpose": "appraisal"})
    assert (stopped["code"], stopped["rule"]) == ("review_required", "held-for-a-person")


def test_a_guard_that_blocks_says_what_it_found(world: Audited) -> None:
    (stopped,) = world.ask("this is forbidden here", model="local/echo")
    assert (stopped["code"], stopped["rule"], stopped["findings"]) == (
        "guard_blocked", "blocker.forbidden", {"FORBIDDEN": 1}
    )  # fmt: skip


def test_a_budget_that_is_spent(world: Audited) -> None:
    failed, stopped = world.ask(who="poor", model="closed/frontier")
    assert (failed["type"], failed["code"], failed["model"]) == ("failed", "budget_exceeded", "closed/frontier")
    assert (stopped["type"], stopped["code"]) == ("stopped", "budget_exceeded")


def test_a_vendor_that_limits_the_rate(world: Audited) -> None:
    assert types(world.ask(who="web", model="closed/refuse")) == ["intent", "failed", "stopped"]


def test_a_vendor_that_fails_midway(world: Audited) -> None:
    _, outcome = world.ask(who="web", model="closed/die", stream=True)
    assert (outcome["error"], outcome["finish"]) == ("upstream_failed", "cut")
    assert outcome["usage"]["estimated"]


@pytest.mark.parametrize("model", ["hang", "slow"])
def test_a_client_that_leaves(world: Audited, model: str) -> None:
    place = urllib.parse.urlsplit(world.site.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    body = {"model": f"closed/{model}", "messages": [{"role": "user", "content": MARK}], "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"Authorization": f"Bearer {world.keys['web']}"})  # fmt: skip
    if model == "slow":
        connection.getresponse().read(20)
    else:
        world.wait_for(lambda entry: entry["type"] == "intent" and entry["model"] == "closed/hang")
    connection.close()
    if model == "slow":
        assert world.wait_for(lambda entry: entry["type"] == "outcome" and entry.get("error") == "cancelled")
    else:
        assert world.wait_for(lambda entry: entry["type"] == "stopped" and entry["code"] == "cancelled")


def test_nothing_relevant_was_found(world: Audited) -> None:
    world.site.run("ingest", str(world.site.home / f"{MARK}-leave.md"), "--collection", "handbook")
    (abstained,) = world.ask("qua quidem?", isthmus={"knowledge": ["nowhere"]}, model="local/echo")
    assert abstained["type"] == "abstained"
    assert abstained["reason"]


def test_embeddings(world: Audited) -> None:
    world.post("/v1/embeddings", {"model": "closed/vectors", "input": [f"{MARK} a", f"{MARK} b"]})
    request = entries(world.site.home)[-1]["request"]
    intent, outcome = world.of(request)
    assert (intent["vendor"], intent["texts"], intent["terms"]["contract"]) == (world.host, 2, "DPA-9")
    assert (outcome["texts"], outcome["tokens"]) == (2, 7)


def ingest(world: Audited, name: str, text: str) -> Entries:
    """The entries of an ingest of one new document that fails."""
    document = world.site.home / f"{MARK}-{name}.md"
    document.write_text(f"# {MARK}\n\n{text} {MARK}\n", encoding="utf8")
    before = len(entries(world.site.home))
    world.site.run("ingest", str(document), "--collection", "handbook", code=1)
    return entries(world.site.home)[before:]


def test_an_embedding_that_fails_says_so_after_its_intent(world: Audited) -> None:
    world.vendor.mode = "fail"
    intent, stopped, finished = ingest(world, "failing", "An ordinary text.")
    assert types([intent, stopped, finished]) == ["intent", "stopped", "ingest.finished"]
    assert (stopped["request"], stopped["code"], stopped["collection"]) == (
        intent["request"], "upstream_failed", "handbook"
    )  # fmt: skip
    assert (finished["rejected"], finished["added"]) == (1, 0)


def test_a_document_that_a_guard_blocks_is_embedded_nowhere(world: Audited) -> None:
    (finished,) = ingest(world, "blocked", "forbidden in")
    assert (finished["type"], finished["rejected"]) == ("ingest.finished", 1)
    assert not world.vendor.received


def test_an_ingest_s_embedding_says_which_collection_left(world: Audited) -> None:
    first = next(entry for entry in entries(world.site.home) if str(entry.get("request")).startswith("ingest_"))
    assert (first["type"], first["collection"], first["vendor"]) == ("intent", "handbook", world.host)


# ---------------------------------------------------------------- all of them


def test_every_entry_is_as_the_catalogue_declares_it(world: Audited) -> None:
    seen = set()
    for entry in raw_entries(world.site.home):
        try:
            seen.add(type(catalogue.parse(entry)))
        except msgspec.ValidationError as error:
            pytest.fail(f"{error}: {entry.decode()}")
    assert len(seen) > 12
    with pytest.raises(msgspec.ValidationError):
        catalogue.parse(entry.replace(b'{"', b'{"unheard":1,"', 1))


def test_no_entry_holds_content_or_names(world: Audited) -> None:
    found = [entry.decode() for entry in raw_entries(world.site.home) if MARK.encode() in entry.lower()]
    assert not found
    assert MARK in json.dumps(world.vendor.bodies) or world.ask(who="web", model="closed/frontier")
    assert MARK.encode() in world.vendor.received, "the search would have found nothing anywhere"
    database = b"".join(path.read_bytes() for path in world.site.home.glob("isthmus.db*"))
    assert MARK.encode() in database
    secrets = (b"sk-vendor", b"b" * 40, KEY.encode())
    assert not any(secret in entry for entry in raw_entries(world.site.home) for secret in secrets)
