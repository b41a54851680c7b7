"""The endpoint as its users meet it: the official client and plain HTTP, over a real socket."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
import urllib.parse
from typing import Any

import openai
import pytest

from flow.conftest import World
from flow.served import Site


def http_call(
    world: World, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One plain HTTP exchange; ``key`` is sent as a bearer."""
    place = urllib.parse.urlsplit(world.site.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    if key := headers.pop("key", None):
        headers["Authorization"] = f"Bearer {key}"
    connection.request(method, path, body or None, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, data


def chat(world: World, body: Any, who: str = "ada") -> tuple[int, dict[str, str], Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, headers, answer = http_call(world, "POST", "/v1/chat/completions", data, key=world.keys[who])
    return status, headers, json.loads(answer)


def hello(**fields: Any) -> dict[str, Any]:
    return {"model": "local/echo", "messages": [{"role": "user", "content": "hello there"}], **fields}


# ---------------------------------------------------------------- answers


def test_a_whole_answer_has_its_reasons_and_its_receipt(world):
    answer = world.ask("hello there", model="local/echo")
    assert answer.choices[0].message.content == "hello there"
    assert answer.usage.total_tokens > 0
    facts = answer.isthmus
    assert (facts["model"], facts["rule"]) == ("local/echo", "in-process-models-within-clearance")
    assert facts["label"]["level"] == "internal"
    assert facts["synthetic"].endswith("trainedAlgorithmicMedia")
    (outcome,) = [entry for entry in world.site.run("audit", "show", facts["request"])["entries"]
                  if entry["type"] == "outcome"]  # fmt: skip
    assert outcome["seq"] == facts["receipt"]["index"]


def test_a_stream_gives_the_same_with_usage_and_receipt_in_its_last_event(world):
    stream = list(world.ask("hello there", model="local/echo", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "hello there"
    assert stream[-1].usage.total_tokens > 0
    assert stream[-1].isthmus["receipt"]["proof"] is not None


def test_naive_code_that_reads_the_first_choice_of_every_chunk_works(world):
    stream = list(world.ask("hello there", model="local/echo", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "hello there"
    assert stream[-1].choices[0].finish_reason == "stop"
    assert stream[-1].isthmus["model"] == "local/echo"


def test_headers_say_who_why_and_under_what_label(world):
    status, headers, body = chat(world, hello())
    assert status == 200
    assert headers["x-isthmus-model"] == "local/echo"
    assert headers["x-isthmus-label"] == "internal"
    assert headers["x-isthmus-receipt"].split()[1:] == [
        str(body["isthmus"]["receipt"]["index"]), body["isthmus"]["receipt"]["leaf"]
    ]  # fmt: skip
    assert headers["x-request-id"] == body["isthmus"]["request"]


def test_the_closed_model_gets_the_question_and_its_cost_is_told(world):
    answer = world.ask("Think it through: what is 2 + 2?", who="website", reasoning_effort="high")
    assert answer.isthmus["model"] == "closed/frontier"
    assert answer.choices[0].message.content.strip() == "The vendor says hello."
    assert answer.isthmus["cost"] == {"amount": "0.000090", "currency": "USD"}
    assert world.vendor.bodies[0]["model"] == "frontier-1"


def test_models_are_listed_with_their_cards(world):
    listed = {model.id: model for model in world.client().models.list()}
    assert {"auto", "local/echo", "closed/frontier", "local/minilm"} <= set(listed)
    assert listed["closed/frontier"].isthmus["clearance"] == {"level": "internal", "categories": []}
    assert world.client().models.retrieve("local/echo").isthmus["locality"] == "in_process"


@pytest.mark.model
def test_embeddings_are_unit_vectors_and_recorded(world):
    answer = world.client().embeddings.create(model="local/minilm", input=["a cat", "a kitten", "a tax form"])
    cat, kitten, form = (item.embedding for item in answer.data)
    assert sum(x * y for x, y in zip(cat, kitten, strict=True)) > sum(x * y for x, y in zip(cat, form, strict=True))
    assert sum(x * x for x in cat) == pytest.approx(1, abs=1e-3)
    entries = [entry["type"] for entry in world.site.log_entries()[-2:]]
    assert entries == ["intent", "outcome"]


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize("key", ["", "wrong", "isk_" + "A" * 43])
def test_a_key_that_is_not_valid_is_refused_in_one_way(world, key):
    status, headers, body = http_call(world, "POST", "/v1/chat/completions", b"{}", key=key or " ")
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert json.loads(body)["error"]["code"] == "invalid_api_key"


def test_a_revoked_key_gives_the_same_body_as_an_unknown_one(world):
    made = world.site.run("keys", "create", "--name", "gone")
    assert http_call(world, "GET", "/v1/models", key=made["key"])[0] == 200
    world.site.run("keys", "revoke", made["id"])
    time.sleep(1)
    revoked, unknown = (http_call(world, "GET", "/v1/models", key=key) for key in (made["key"], "isk_unknown"))
    assert revoked[0] == unknown[0] == 401
    assert revoked[2] == unknown[2]


def test_an_auditor_asks_no_model(world):
    with pytest.raises(openai.PermissionDeniedError) as denied:
        world.ask("hello", who="auditor", model="local/echo")
    assert denied.value.body["isthmus"]["rule"] == "role-may-not-ask"


def test_a_budget_that_is_spent_stops_the_call_before_it_leaves(world):
    with pytest.raises(openai.RateLimitError) as refused:
        world.ask("hello", who="poor", model="closed/frontier")
    assert refused.value.body["code"] == "budget_exceeded"
    assert not world.vendor.received
    assert world.ask("hello", who="poor", model="local/echo").choices  # what costs nothing is not limited


def test_only_the_policy_role_reloads(world):
    assert http_call(world, "POST", "/api/policy/reload", key=world.keys["root"])[0] == 403
    status, _, body = http_call(world, "POST", "/api/policy/reload", key=world.keys["officer"])
    assert status == 200
    assert json.loads(body)["policy"].startswith("sha256:")


def test_the_checkpoint_and_a_proof_are_served(world):
    index = world.ask("hello", model="local/echo").isthmus["receipt"]["index"]
    status, _, note = http_call(world, "GET", "/api/audit/checkpoint", key=world.keys["bob"])
    assert status == 200
    assert note.decode().startswith("isthmus.local/")
    status, _, proof = http_call(world, "GET", f"/api/audit/receipts/{index}", key=world.keys["bob"])
    assert json.loads(proof)["index"] == index
    for index in ("99999999", "9" * 5000, "-1", "x"):
        assert http_call(world, "GET", f"/api/audit/receipts/{index}", key=world.keys["bob"])[0] == 404
    assert http_call(world, "GET", "/api/audit/checkpoint")[0] == 401


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b'{"model": "local/echo", "messages": [{"role"', 400, "invalid_request"),
        (b"\x00\xff", 400, "invalid_request"),
        (b"[" * 60_000, 400, "invalid_request"),
        (hello(model="nothing"), 404, "model_not_found"),
        (hello(model="local/minilm"), 404, "model_not_found"),
        (hello(n=3), 400, "invalid_request"),
        (hello(isthmus={"label": "top secret"}), 400, "invalid_request"),
        (hello(isthmus={"purpose": "x" * 1000}), 400, "invalid_request"),
        (hello(messages=[{"role": "user", "content": "x" * 60_000}]), 413, "request_too_large"),
        (hello(messages=[{"role": "user", "content": "x" * 300_000}]), 413, "request_too_large"),
    ],
    ids=["empty", "half", "bytes", "deep", "no model", "no chat model", "n", "label", "purpose", "prompt", "body"],
)
def test_a_bad_request_is_told_what_is_wrong(world, body, status, code):
    got, headers, answer = chat(world, body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert answer["error"]["isthmus"]["hint"]
    assert answer["error"]["isthmus"]["request"] == headers["x-request-id"]
    assert "Traceback" not in json.dumps(answer)


@pytest.mark.parametrize(
    "text",
    [
        "\u202egnirts\u202c",
        "a\u0000b",
        "\U000e0041\U000e0042",
        "𝔥𝔢𝔩𝔩𝔬",
        "\u0301" * 50,
        "👩‍👩‍👧‍👦" * 20,
        "\r\n\r\nHTTP/1.1 200 OK",
    ],
)
def test_hostile_text_comes_back_as_text(world, text):
    answer = world.ask(text, model="local/echo")
    assert answer.choices[0].message.content.strip() == text.strip()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405), ("GET", "/nothing", 404),
     ("GET", "/v1/models/nothing", 404), ("GET", "/v1/models/../../etc/passwd", 404)],
)  # fmt: skip
def test_other_addresses_and_methods_are_errors_in_the_same_shape(world, method, path, status):
    got, _, body = http_call(world, method, path, key=world.keys["ada"])
    assert got == status
    assert json.loads(body)["error"]["code"]


def test_health_needs_no_key(world):
    assert http_call(world, "GET", "/healthz")[0] == 200
    status, _, body = http_call(world, "GET", "/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)


# ---------------------------------------------------------------- the upstream's bad days


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [("fail", 502, "upstream_failed"), ("refuse", 429, "upstream_rate_limited"), ("garbage", 502, "upstream_failed"),
     ("hang", 504, "upstream_timeout")],
)  # fmt: skip
def test_a_vendor_that_fails_before_its_first_word_is_an_error_with_a_status(world, mode, status, code):
    got, _, body = chat(world, hello(model=f"closed/{mode}"), "website")
    assert (got, body["error"]["code"]) == (status, code)
    text = json.dumps(body)
    assert "Traceback" not in text
    assert "SLOW DOWN" not in text
    last = world.site.log_entries()[-1]
    assert (last["type"], last["code"]) == ("stopped", code)


def test_a_stream_that_dies_ends_in_an_error_event_and_no_done(world):
    body = json.dumps(hello(model="closed/die", stream=True)).encode()
    status, _, data = http_call(world, "POST", "/v1/chat/completions", body, key=world.keys["website"])
    assert status == 200
    assert b"the first" in data
    assert b"[DONE]" not in data
    last_event = json.loads(data.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    assert last_event["error"]["code"] == "upstream_failed"
    outcome = world.site.log_entries()[-1]
    assert (outcome["type"], outcome["error"], outcome["finish"]) == ("outcome", "upstream_failed", "cut")


def test_auto_fails_over_inside_the_admitted_set_only(world):
    world.vendor.mode = "fail"
    answer = world.ask("Think it through: hello", reasoning_effort="high")
    assert answer.isthmus["model"].startswith("local/")
    tried = [body["model"] for body in world.vendor.bodies]
    assert set(tried) == {"frontier-1", "frontier-2"}


def test_a_model_that_was_named_is_never_replaced(world):
    with pytest.raises(openai.APIStatusError):
        world.ask("hello", who="website", model="closed/gone")
    assert {body["model"] for body in world.vendor.bodies} == {"gone"}


def test_a_client_that_leaves_cancels_the_call_and_the_log_says_so(world):
    place = urllib.parse.urlsplit(world.site.url)
    body = json.dumps(hello(model="closed/slow", stream=True)).encode()
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + world.keys["website"].encode()
            + b"\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )  # fmt: skip
        received = b""
        while b"well" not in received:
            received += connection.recv(65536)
    assert world.vendor.left.wait(5), "the vendor's stream was not cancelled"
    for _ in range(50):
        last = world.site.log_entries()[-1]
        if last.get("error") == "cancelled":
            break
        time.sleep(0.1)
    assert last["type"] == "outcome"


# ---------------------------------------------------------------- starting


def test_beyond_loopback_it_does_not_listen_without_keys(tmp_path):
    site = Site(tmp_path)
    site.config.write_text("server: {authentication: none}\n", encoding="utf8")
    command = site.command("serve", "--config", str(site.config), "--host", "0.0.0.0", "--port", "0")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "authentication" in done.stderr
    assert "Traceback" not in done.stderr
