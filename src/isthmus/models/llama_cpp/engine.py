"""One loaded model: llama.cpp's server inside this process, spoken to by function calls from threads of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import DigestMismatch, InvalidRequest, ModelUnavailable
from isthmus.models import fit, gguf
from isthmus.models.llama_cpp import schema
from isthmus.models.weights import digest

# A call can be cancelled between two batches of its prompt: about a second of the 1.5B on two cores. Larger batches
# read no faster there (benchmarks/local_model.py).
_BATCH = 64
_REMEMBERED = 256  # grammars known to work


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A GGUF file and how to run it. ``context`` in tokens, shared by ``parallel`` requests; ``cost`` in bytes;
    ``digest`` (``sha256:…``, or empty) is what the file must have."""

    name: str
    path: Path
    context: int
    parallel: int
    threads: int
    cost: int
    digest: str = ""

    @classmethod
    def read(cls, name: str, path: Path, *, context: int, parallel: int, threads: int, digest: str) -> LocalModel:
        """From the file's header. Raises :class:`ModelUnavailable` where it is no GGUF of a language model."""
        header = gguf.read(path)
        context = min(context, header.context)
        return cls(name, path, context, parallel, threads, fit.fit(header, context, 0).need, digest)

    def load(self) -> Engine:
        """Blocks for seconds. Raises :class:`DigestMismatch` where the file changed since its card was made, and
        :class:`ModelUnavailable` where llama.cpp cannot read it."""
        if self.digest and (found := digest(self.path)) != self.digest:
            raise DigestMismatch(
                f"The weights of {self.name} are not those of its card.",
                hint="Start again to take the new file, or pull the weights again.",
                details={"expected": self.digest, "found": found},
            )
        return Engine(_server(self), self.parallel)


class Engine:
    """``server`` is an ``xllamacpp.Server``; ``parallel`` calls run at once, the others wait."""

    def __init__(self, server: Any, parallel: int) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="llama_cpp")
        self._closed = threading.Event()
        self._enforced: set[str] = set()

    async def require(self, grammar: str | None) -> None:
        """Raises :class:`InvalidRequest` for a grammar that the runtime would silently leave out of account."""
        probe = None if grammar is None or grammar in self._enforced else schema.probe(grammar)
        if grammar is None or probe is None:
            return
        body = {"prompt": ".", "max_tokens": 1, "temperature": 0.0, "grammar": probe, "cache_prompt": False}
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._server.handle_completions, body)
        if not "".join(choice["text"] for choice in answer.get("choices", ())).startswith(schema.MARK[0]):
            raise InvalidRequest(
                "The local runtime cannot enforce a JSON schema of the request.",
                hint="Leave out keywords such as `not`, `if`, `contains`, `uniqueItems`, or `oneOf` with overlaps.",
            )
        if len(self._enforced) >= _REMEMBERED:
            self._enforced.clear()
        self._enforced.add(grammar)

    async def chunks(self, payload: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The server's own chunks for a chat completion. Closing the iterator cancels the call, and returns once its
        slot is free: within one token, or one batch of the prompt.

        The queue is unbounded, and yet bounded: a call makes at most as many small chunks as the context has tokens.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        cancelled = threading.Event()

        def push(chunk: dict[str, Any]) -> bool:
            """Called in the thread; ``True`` cancels."""
            loop.call_soon_threadsafe(queue.put_nowait, chunk)
            return cancelled.is_set() or self._closed.is_set()

        def run() -> None:
            try:
                if not cancelled.is_set():
                    self._server.handle_chat_completions(payload, push)
            finally:
                loop.call_soon_threadsafe(queue.put_nowait, None)

        job = loop.run_in_executor(self._threads, run)
        try:
            while (chunk := await queue.get()) is not None:
                yield chunk
            await job
        finally:
            cancelled.set()
            await asyncio.wait([job])
            job.exception()  # it has been raised above, or nobody waits for it

    def close(self) -> None:
        """Cancel what runs, and give the memory back. Blocks."""
        self._closed.set()
        self._threads.shutdown()
        del self._server


def _server(model: LocalModel) -> Any:
    # libgomp reads these once, when it is loaded: waiting threads must not spin, the machine is not ours alone.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    import xllamacpp

    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        try:
            return xllamacpp.Server(_params(xllamacpp.CommonParams(), model, Path(folder)))
        except (RuntimeError, ValueError) as error:
            raise ModelUnavailable(
                f"llama.cpp cannot load the weights of {model.name}.",
                hint="Check the file with `isthmus models verify`; its architecture may be newer than the runtime.",
            ) from error


def _params(params: Any, model: LocalModel, folder: Path) -> Any:
    params.model.path = str(model.path)
    params.n_ctx = model.context
    params.n_parallel = model.parallel
    params.kv_unified = True  # one cache for all slots: a single request may use the whole context
    params.n_batch = params.n_ubatch = max(_BATCH, model.parallel)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = model.threads
    params.no_extra_bufts = True  # no second, repacked copy of the weights
    params.cache_ram_mib = 0  # prompts are cached in the slots only, within the budget
    params.fit_params = False  # the budget is decided here, not by the runtime
    params.verbosity = 0
    # The runtime insists on listening, and who reaches it evades policy and record: a socket in a folder that only
    # this user may enter, gone once the server stands, behind a key that nobody learns.
    params.hostnames = [str(folder / "runtime.sock")]  # by its ending the runtime knows that it is a socket
    params.api_keys = [secrets.token_urlsafe(32)]
    params.ui = params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = False
    return params
