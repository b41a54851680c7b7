"""Hostile and broken model servers: the documented error, nothing lost of what came before, nothing left open."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import json
import ssl
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contract.openai_compatible_fixtures import KEY, ask, complete, model_of, provider, settings
from contract.replay import CUT, HANG, PAUSE, Reply, events, replaying, whole
from contract.wires import LAST, ONLY_USAGE, chunk
from isthmus.cards import Card
from isthmus.errors import ContextTooLong, Upstream, UpstreamFailed, UpstreamRateLimited, UpstreamTimeout
from isthmus.messages import ChatEvent, TextDelta
from isthmus.models.streams import closing
from isthmus.models.transport import AiohttpTransport
from isthmus.models.wrappers.deadline import Deadline
from isthmus.seams import ChatModel, HttpRequest

HELLO = chunk({"content": "Hello"})
ROW = "openai_compatible"


async def until_it_fails(model: ChatModel) -> tuple[list[ChatEvent], BaseException | None]:
    came: list[ChatEvent] = []
    try:
        async with closing(model.stream(ask())) as stream:
            async for event in stream:
                came.append(event)
    except Upstream as error:
        return came, error
    return came, None


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        pytest.param((*events(HELLO, done=False), CUT), UpstreamFailed, id="dies midway"),
        pytest.param(events(HELLO, done=False), UpstreamFailed, id="ends without a finish"),
        pytest.param(events(HELLO), UpstreamFailed, id="says [DONE] without a finish"),
        pytest.param((*events(HELLO, done=False), HANG), UpstreamTimeout, id="hangs midway"),
        pytest.param((*events(HELLO, done=False), b"data: {garbage\n\n"), UpstreamFailed, id="garbage"),
        pytest.param((*events(HELLO, done=False), b"data: []\n\n"), UpstreamFailed, id="not an object"),
        pytest.param((*events(HELLO, done=False), b"data: " + b"[" * 100_000 + b"\n\n"), UpstreamFailed, id="deep"),
        pytest.param((*events(HELLO, done=False), b'data: {"id": "\xff\xfe"}\n\n'), UpstreamFailed, id="not UTF-8"),
        pytest.param((*events(HELLO, done=False), b"\x00\xff" * 500), UpstreamFailed, id="binary"),
        pytest.param(events(HELLO, {"error": {"message": "x", "code": 502}}), UpstreamFailed, id="error object"),
        pytest.param(events(HELLO, {"error": "CUDA", "error_type": "generation"}), UpstreamFailed, id="error of TGI"),
        pytest.param(events(HELLO, {"object": "error", "message": "x"}), UpstreamFailed, id="error of older vLLM"),
        pytest.param(events(HELLO, {"error": {"code": 429}}), UpstreamRateLimited, id="limited midway"),
        pytest.param(events(HELLO, chunk({}, "error")), UpstreamFailed, id="finish reason error"),
    ],
)
async def test_a_failure_midway(pieces: tuple[bytes | object, ...], error: type[Upstream]) -> None:
    async with model_of(ROW, Reply(pieces=pieces), timeout=0.3) as (model, replay):
        came, raised = await until_it_fails(model)
        assert [event.text for event in came if isinstance(event, TextDelta)] == ["Hello"]
        assert type(raised) is error
        if HANG in pieces:
            async with asyncio.timeout(2):
                await replay.received[0].gone.wait()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        pytest.param(Reply(0), UpstreamTimeout, id="no headers"),
        pytest.param(Reply(pieces=(HANG,)), UpstreamTimeout, id="headers, then nothing"),
        pytest.param(Reply(pieces=(CUT,)), UpstreamFailed, id="headers, then closed"),
        pytest.param(Reply(), UpstreamFailed, id="empty stream"),
        pytest.param(Reply(kind="application/json"), UpstreamFailed, id="empty JSON"),
        pytest.param(Reply(kind="text/html", pieces=(b"<html>Welcome</html>",)), UpstreamFailed, id="web page"),
        pytest.param(Reply(kind="text/plain", pieces=(b"hello\n",)), UpstreamFailed, id="plain text"),
        pytest.param(whole(200, {"hello": 1}), UpstreamFailed, id="some other JSON"),
        pytest.param(whole(200, {"error": {"message": "x", "code": 500}}), UpstreamFailed, id="200 with an error"),
        pytest.param(Reply(500, (HANG,)), UpstreamFailed, id="500 whose body hangs"),
        pytest.param(Reply(500, (b"x" * 300_000,)), UpstreamFailed, id="500 with a huge body"),
        pytest.param(Reply(429, (b"<html>",)), UpstreamRateLimited, id="429 from a proxy"),
        pytest.param(
            Reply(headers={"Content-Length": "10"}, pieces=(b"x",)), UpstreamFailed, id="contradicting lengths"
        ),
    ],
)
async def test_a_failure_from_the_start(reply: Reply, error: type[Upstream]) -> None:
    async with model_of(ROW, reply, timeout=0.3) as (model, _):
        came, raised = await until_it_fails(model)
    assert came == []
    assert type(raised) is error


async def test_nobody_listens() -> None:
    async with replaying(Reply()) as replay:
        url = replay.url
    transport = AiohttpTransport()
    with pytest.raises(UpstreamFailed, match="reached"):
        await transport.send(HttpRequest("POST", url))
    await transport.close()


async def test_headers_that_drip_do_not_hold_the_call() -> None:
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not reader.at_eof():
            writer.write(b"x")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1000), 0.02)
        writer.close()
        gone.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    transport = AiohttpTransport()
    async with asyncio.timeout(2):
        with pytest.raises(UpstreamTimeout):
            await transport.send(HttpRequest("POST", url, timeout=0.2))
        await gone.wait()
    await transport.close()
    server.close()


async def test_context_too_long_midway() -> None:
    error = {"message": "maximum context length is 10", "code": 400}
    for payload in ({"error": error}, {"object": "error", **error}):
        async with model_of(ROW, Reply(pieces=events(payload))) as (model, _):
            with pytest.raises(ContextTooLong):
                await complete(model, ask())


async def test_what_happens_after_the_finish_loses_nothing() -> None:
    """Cut, or silent, once the model has said why it ended: the answer is whole."""
    for end in (CUT, HANG):
        pieces = (*events(HELLO, LAST, ONLY_USAGE, done=False), PAUSE, end)
        async with model_of(ROW, Reply(pieces=pieces), timeout=0.3) as (model, _):
            answer = await complete(model, ask())
        assert (answer.text, answer.finish, answer.usage.prompt) == ("Hello", "stop", 12)


async def test_a_server_that_stays_after_done_does_not_hold_the_answer() -> None:
    async with model_of(ROW, Reply(pieces=(*events(HELLO, LAST), HANG)), timeout=30) as (model, _):
        async with asyncio.timeout(2):
            assert (await complete(model, ask())).text == "Hello"


async def test_a_slow_drip_is_read_and_a_deadline_ends_it() -> None:
    """Bytes that drip are no silence; the whole of a call has its own bound."""
    text = b"".join(events(HELLO, LAST))
    drip = tuple(piece for byte in text[:12] for piece in (bytes([byte]), PAUSE))
    async with model_of(ROW, Reply(pieces=(*drip, text[12:])), timeout=0.2) as (model, _):
        assert (await complete(model, ask())).text == "Hello"
    comments = (*events(HELLO, done=False), *(b": still here\n\n", PAUSE) * 200)
    async with model_of(ROW, Reply(pieces=comments), timeout=0.2) as (model, replay):
        came, raised = await until_it_fails(Deadline(model, 0.3))
        assert isinstance(raised, UpstreamTimeout)
        assert len(came) == 2
        async with asyncio.timeout(2):
            await replay.received[0].gone.wait()


@pytest.mark.parametrize("piece", [b"x" * 65_536, b"data: x\n" * 8192], ids=["one line", "one event of many lines"])
async def test_an_endless_event_is_refused_in_bounded_memory(piece: bytes) -> None:
    async with model_of(ROW, Reply(pieces=(piece,) * 400)) as (model, _):
        tracemalloc.start()
        came, raised = await until_it_fails(model)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert came == []
    assert isinstance(raised, UpstreamFailed)
    assert "more than" in raised.message
    assert peak < 8_000_000


async def test_an_endless_unstreamed_answer_is_refused() -> None:
    reply = Reply(kind="application/json", pieces=(b" " * 65_536,) * 400)
    async with model_of(ROW, reply) as (model, _):
        _, raised = await until_it_fails(model)
    assert isinstance(raised, UpstreamFailed)
    assert "more than" in raised.message


async def test_a_compression_bomb_is_not_opened() -> None:
    """We ask for no compression; what comes compressed all the same is refused unread."""
    bomb = gzip.compress(b"data: " + b"0" * 200_000_000, 1)
    reply = Reply(
        headers={"Content-Encoding": "gzip"}, pieces=tuple(bomb[i : i + 65_536] for i in range(0, len(bomb), 65_536))
    )
    async with model_of(ROW, reply) as (model, replay):
        tracemalloc.start()
        _, raised = await until_it_fails(model)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert replay.received[0].headers["accept-encoding"] == "identity"
    assert isinstance(raised, UpstreamFailed)
    assert "compressed" in raised.message
    assert peak < 4_000_000


async def test_a_redirect_is_not_followed() -> None:
    async with replaying(Reply()) as elsewhere:
        reply = whole(307, {}, Location=f"{elsewhere.url}/v1/chat/completions")
        async with model_of(ROW, reply) as (model, _):
            with pytest.raises(UpstreamFailed, match="redirects"):
                await complete(model, ask())
        assert elsewhere.received == []


async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with replaying(Reply()) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with model_of(ROW, Reply(pieces=events(HELLO, LAST))) as (model, _):
            assert (await complete(model, ask())).text == "Hello"
        assert proxy.received == []


async def test_no_cookie_is_kept() -> None:
    reply = Reply(pieces=events(HELLO, LAST), headers={"Set-Cookie": "tracking=1"})
    async with replaying(reply) as replay:
        transport = AiohttpTransport()
        named = replay.url.replace("127.0.0.1", "localhost")  # a jar may keep none of an address
        model = provider(transport).chat(settings(ROW, named), Card("some/model", ROW))
        await complete(model, ask())
        await complete(model, ask())
        await transport.close()
    assert all("cookie" not in received.headers for received in replay.received)


async def test_bytes_split_at_every_place() -> None:
    text = b"".join(events(": hi", "data:", "event: ping", chunk({"content": "Grüezi 世界"}), LAST, end="\r\n\r\n"))
    pieces = tuple(bytes([byte]) for byte in text)
    async with model_of(ROW, Reply(pieces=pieces)) as (model, _):
        assert (await complete(model, ask())).text == "Grüezi 世界"


async def test_a_failure_leaves_nothing_to_find_the_key_by() -> None:
    """Neither ``repr``, nor the error, nor what caused it, holds the key or the vendor's text."""
    body = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    async with model_of(ROW, whole(401, body)) as (model, _):
        assert KEY not in repr(model) + repr(vars(model))
        with pytest.raises(UpstreamFailed) as caught:
            await complete(model, ask())
    chain: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert all(KEY not in f"{error!r}{getattr(error, '__dict__', '')}" for error in chain)
    assert KEY not in json.dumps(caught.value.as_dict())


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate, own = _certificate(tmp_path)
    server = await asyncio.start_server(_https, "127.0.0.1", 0, ssl=own)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    strict = AiohttpTransport()
    with pytest.raises(UpstreamFailed, match="certificate"):
        await strict.send(HttpRequest("POST", url))
    await strict.close()
    trusting = AiohttpTransport(tls=ssl.create_default_context(cafile=str(certificate)))
    response = await trusting.send(HttpRequest("POST", url))
    assert response.status == 204
    await response.close()
    await trusting.close()
    server.close()


async def _https(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path, secret = folder / "own.pem", folder / "own.key"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, secret)
    return path, context
