"""MiniLM-L6 (int8, ONNX) in this process: sentences to 384 numbers.

One text at a time, without padding: on a CPU that is no slower than batches, spends nothing on padding, and a text's
vector can never depend on what it was embedded with. Mean pooling over tokens, unit length, 256 tokens at most: as the
model was trained (huggingface.co/sentence-transformers/all-MiniLM-L6-v2).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cards import Card
from isthmus.config import ModelSettings
from isthmus.errors import ConfigInvalid, DigestMismatch, ModelUnavailable
from isthmus.messages import EmbedRequest
from isthmus.models.catalogue import weights_name
from isthmus.models.provider import ProviderContext
from isthmus.models.weights import digest, locate
from isthmus.seams import ChatModel, Embedder, Embeddings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DIMENSIONS = 384
TOKENS = 256
_SLICE = 16  # texts embedded between two chances to be cancelled


@dataclass(frozen=True, slots=True)
class _Loaded:
    """``tokenizer`` truncates; ``session`` runs."""

    tokenizer: Any
    session: Any

    def embed(self, texts: Sequence[str]) -> tuple[list[npt.NDArray[np.float32]], int]:
        """A unit vector for each text, and the tokens read. Blocks."""
        encoded = [self.tokenizer.encode(text).ids for text in texts]
        return [self._vector(ids) for ids in encoded], sum(map(len, encoded))

    def _vector(self, ids: list[int]) -> npt.NDArray[np.float32]:
        import numpy as np

        tokens = np.array([ids], dtype=np.int64)
        feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "token_type_ids": np.zeros_like(tokens)}
        (hidden,) = self.session.run(["last_hidden_state"], feed)
        pooled = hidden[0].mean(axis=0)
        vector: npt.NDArray[np.float32] = (pooled / np.linalg.norm(pooled)).astype(np.float32)
        return vector


class MiniLM:
    """``weights``: the name of a folder with ``model.onnx`` and ``tokenizer.json``, read when first asked.
    ``threads``: cores that one text may use."""

    def __init__(self, card: Card, weights: str, threads: int = 1) -> None:
        self._card = card
        self._weights = weights
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    @property
    def card(self) -> Card:
        return self._card

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Raises :class:`ModelUnavailable` where the weights are not here, and :class:`DigestMismatch`."""
        import numpy as np

        loaded = await asyncio.to_thread(self._load)
        vectors: list[npt.NDArray[np.float32]] = []
        tokens = 0
        for start in range(0, len(request.texts), _SLICE):
            texts = [text.text for text in request.texts[start : start + _SLICE]]
            some, read = await asyncio.to_thread(loaded.embed, texts)
            vectors += some
            tokens += read
        return Embeddings(np.array(vectors, dtype=np.float32).reshape(-1, DIMENSIONS), tokens)

    def _load(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                self._loaded = _load(self._folder(), self._threads)
            return self._loaded

    def _folder(self) -> Path:
        folder = locate(self._weights)
        if folder is None:
            raise ModelUnavailable(
                f"The weights of {self._card.id} are not on this machine.",
                hint=f"Fetch them: `isthmus models pull {self._weights}`.",
            )
        if self._card.digest and digest(folder) != self._card.digest:
            raise DigestMismatch(f"The weights of {self._card.id} are not those of its card.")
        return folder


def _load(folder: Path, threads: int) -> _Loaded:
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the machine is not ours alone
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # both raise bare Exceptions for a file that is none of theirs
        raise ModelUnavailable(f"The embedding model in {folder} cannot be loaded.") from error
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()
    return _Loaded(tokenizer, session)


class MiniLMProvider:
    """``provider: minilm`` at the providers' door. ``options``: ``threads`` (default 1)."""

    def __init__(self, context: ProviderContext) -> None:
        self._home = context.home

    def chat(self, settings: ModelSettings, card: Card) -> ChatModel:
        raise ConfigInvalid(f"minilm has no chat models (model {settings.id!r}).", hint="Write `kind: embedding`.")

    def embedder(self, settings: ModelSettings, card: Card) -> Embedder:
        """Raises :class:`ConfigInvalid`."""
        if unknown := settings.options.keys() - {"threads"}:
            raise ConfigInvalid(f"The provider minilm has no option {min(unknown)!r} (model {settings.id!r}).")
        threads = settings.options.get("threads", 1)
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise ConfigInvalid(f"The option 'threads' of {settings.id!r} must be a whole number above 0.")
        return MiniLM(replace(card, context=TOKENS), weights_name(settings, self._home) or "starter/minilm", threads)

    async def start(self) -> None:
        """Nothing: the weights are read when first asked."""

    async def stop(self) -> None:
        """Nothing to close."""
