"""A local model through ``LlamaCpp`` beside the runtime called directly: one process, one loaded engine, in turn.

    python benchmarks/local_model.py [--weights starter/qwen2.5-coder-0.5b] [--rounds 5] [--batches 32,64,128,512]

Prints one JSON object: the ratio of tokens per second (ours / the runtime's own), seconds to the first token for a
prompt never seen and for a second question over the same context, seconds until a cancelled call's slot is free, and
tokens of prompt per second by batch size.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

from isthmus.cards import Card
from isthmus.clock import SystemClock
from isthmus.labels import PUBLIC
from isthmus.messages import ChatRequest, Message, Sampling, Text, TextDelta
from isthmus.models.llama_cpp import engine as engines
from isthmus.models.llama_cpp.chat import LlamaCpp, Shape
from isthmus.models.llama_cpp.engine import Engine, LocalModel
from isthmus.models.llama_cpp.provider import cores
from isthmus.models.llama_cpp.request import payload
from isthmus.models.llama_cpp.runtime import Runtime
from isthmus.models.streams import closing
from isthmus.models.weights import locate
from isthmus.principals import Principal

WORDS = ["river", "stone", "cloud", "paper", "market", "garden", "window", "signal", "letter", "bridge", "harbour"]
ASKER = Principal("p", "benchmark")


def ask(context: str, question: str, tokens: int) -> ChatRequest:
    messages = (Message("system", (Text(context, PUBLIC),)), Message("user", (Text(question, PUBLIC),)))
    return ChatRequest("r", ASKER, "local/m", messages, sampling=Sampling(temperature=0.0, max_tokens=tokens))


def fresh(words: int) -> str:
    """A context that no earlier one begins like."""
    return " ".join(random.choices(WORDS, k=words))


async def rate(stream: Callable[[], Awaitable[list[float]]]) -> float:
    """Tokens per second between the first and the last."""
    times = await stream()
    return (len(times) - 1) / (times[-1] - times[0])


async def ours(model: LlamaCpp, request: ChatRequest) -> list[float]:
    return [time.perf_counter() async for event in model.stream(request) if isinstance(event, TextDelta)]


async def direct(engine: Engine, request: ChatRequest) -> list[float]:
    """The runtime's own call, blocking, in a thread."""
    times: list[float] = []

    def push(chunk: dict[str, Any]) -> None:
        if any(choice["delta"].get("content") for choice in chunk.get("choices", ())):
            times.append(time.perf_counter())

    body = payload(request, 20)
    body.pop("return_progress")
    await asyncio.to_thread(engine._server.handle_chat_completions, body, push)
    return times


async def first_token(model: LlamaCpp, request: ChatRequest) -> float:
    began = time.perf_counter()
    return (await ours(model, request))[0] - began


async def cancelled(model: LlamaCpp, request: ChatRequest, after: float | None) -> float:
    """Seconds from leaving the stream to a free slot: after the first token, or ``after`` seconds into the prompt."""
    if after is not None:
        task = asyncio.create_task(ours(model, request))
        await asyncio.sleep(after)
        began = time.perf_counter()
        task.cancel()
        await asyncio.wait([task])
        return time.perf_counter() - began
    async with closing(model.stream(request)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
        began = time.perf_counter()
    return time.perf_counter() - began


async def measure(local: LocalModel, rounds: int) -> dict[str, Any]:
    runtime: Runtime[Engine] = Runtime(1 << 40, 1e9, SystemClock())
    model = LlamaCpp(Card("local/m", "llama_cpp"), str(local.path), Shape(4096, 4, local.threads, 64), runtime)
    seen: dict[str, list[float]] = {name: [] for name in ("ours", "direct", "first", "second", "leave", "stop")}
    story = ask("You are a storyteller.", "Tell a long story.", 20)
    began = time.perf_counter()
    await ours(model, story)
    load = time.perf_counter() - began
    async with runtime.using(await model._model()) as engine:
        for _ in range(rounds):
            for _ in range(4):  # short and in turn, so that other work on the machine slows both
                seen["ours"].append(await rate(lambda: ours(model, story)))
                seen["direct"].append(await rate(lambda: direct(engine, story)))
            context = fresh(560)
            seen["first"].append(await first_token(model, ask(context, "What is this about?", 2)))
            seen["second"].append(await first_token(model, ask(context, "Which word is first?", 2)))
            seen["leave"].append(await cancelled(model, story, None))
            seen["stop"].append(await cancelled(model, ask(fresh(560), "What?", 2), 0.7))
    await runtime.stop()
    middle = {name: median(values) for name, values in seen.items()}
    ratio = middle["ours"] / middle["direct"]
    return {
        "load_s": round(load, 2),
        "ratio": round(ratio, 3),
        **{name: round(value, 3) for name, value in middle.items()},
    }


def prefill(local: LocalModel, batches: list[int], rounds: int) -> dict[int, float]:
    """Tokens of a 300-token prompt read per second, the sizes in turn so that noise falls on all alike."""
    servers = {}
    for size in batches:
        engines._BATCH = size
        servers[size] = engines._server(local)
    speeds: dict[int, list[float]] = {size: [] for size in batches}
    for _ in range(rounds):
        for size, server in servers.items():
            body = {"messages": [{"role": "user", "content": fresh(280)}], "max_tokens": 1, "cache_prompt": False}
            speeds[size].append(server.handle_chat_completions(body)["timings"]["prompt_per_second"])
    return {size: round(median(values), 1) for size, values in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", default="starter/qwen2.5-coder-0.5b")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", default="")
    arguments = parser.parse_args()
    path = locate(arguments.weights)
    if path is None:
        parser.error(f"{arguments.weights} is not here: isthmus models pull {arguments.weights}")
    local = LocalModel.read("m", path, context=4096, parallel=4, threads=cores(), digest="")
    sizes = [int(size) for size in arguments.batches.split(",") if size]
    result: dict[str, Any] = asyncio.run(measure(local, arguments.rounds))
    if sizes:
        result["prefill"] = prefill(local, sizes, arguments.rounds)
    print(json.dumps({"weights": arguments.weights, "threads": local.threads, **result}))


if __name__ == "__main__":
    main()
