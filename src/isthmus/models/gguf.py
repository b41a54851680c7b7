"""The facts in a GGUF file's header (github.com/ggml-org/ggml, docs/gguf.md): what hardware fit needs, no tensors."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import ModelUnavailable

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_LONG = 1024  # arrays beyond this (the tokenizer's) are counted, not kept


@dataclass(frozen=True, slots=True)
class Gguf:
    """``size``: bytes of the file. ``context``: tokens it was trained for. ``kv_heads``: one number a layer.
    ``key_width`` and ``value_width``: numbers per head. ``vocabulary``: tokens (0: not said)."""

    name: str
    architecture: str
    licence: str
    size: int
    layers: int
    context: int
    kv_heads: tuple[int, ...]
    key_width: int
    value_width: int
    vocabulary: int

    @property
    def kv_width(self) -> int:
        """Numbers kept for each token of context, over all layers."""
        return sum(self.kv_heads) * (self.key_width + self.value_width)


def read(path: Path) -> Gguf:
    """Raises :class:`ModelUnavailable` where the file is no GGUF of a language model."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return _gguf(_Reader(view).metadata(), len(view))
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror}.") from error
    except (struct.error, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ModelUnavailable(f"{path} is not a GGUF file of a language model.") from error


def _gguf(facts: Mapping[str, Any], size: int) -> Gguf:
    architecture = facts["general.architecture"]

    def fact(name: str) -> Any:
        return facts[f"{architecture}.{name}"]

    layers = int(fact("block_count"))
    heads = _each_layer(fact("attention.head_count"), layers)
    width = int(fact("embedding_length")) // max(heads)  # of one head, where the file does not say otherwise
    return Gguf(
        name=str(facts.get("general.name", "")),
        architecture=str(architecture),
        licence=str(facts.get("general.license", "")),
        size=size,
        layers=layers,
        context=int(fact("context_length")),
        kv_heads=_each_layer(facts.get(f"{architecture}.attention.head_count_kv", heads), layers),
        key_width=int(facts.get(f"{architecture}.attention.key_length", width)),
        value_width=int(facts.get(f"{architecture}.attention.value_length", width)),
        vocabulary=int(facts.get("tokenizer.ggml.tokens", 0)),
    )


def _each_layer(value: Any, layers: int) -> tuple[int, ...]:
    """Some architectures have a number for each layer, most have one for all."""
    return value if isinstance(value, tuple) else (int(value),) * layers


class _Reader:
    """Walks the header; every length is checked against what the file has."""

    def __init__(self, view: mmap.mmap) -> None:
        self._view = view
        self._at = 0

    def metadata(self) -> dict[str, Any]:
        if self._view[:4] != b"GGUF":
            raise ValueError("no GGUF magic")
        self._at = 4
        version, _tensors, count = self._number("<I"), self._number("<Q"), self._number("<Q")
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version}")
        return {self._string(): self._value(self._number("<I")) for _ in range(count)}

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._view, self._at)
        self._at += struct.calcsize(form)
        return value

    def _string(self) -> str:
        length = self._number("<Q")
        if length > len(self._view) - self._at:
            raise ValueError("a string beyond the end")
        self._at += length
        return self._view[self._at - length : self._at].decode("utf8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        return self._array() if kind == _ARRAY else self._number(_SCALARS[kind])

    def _array(self) -> Any:
        kind, count = self._number("<I"), self._number("<Q")
        if count > len(self._view) - self._at:
            raise ValueError("an array beyond the end")
        if count <= _LONG:
            return tuple(self._value(kind) for _ in range(count))
        if kind in _SCALARS:
            self._at += count * struct.calcsize(_SCALARS[kind])
        else:
            for _ in range(count):
                self._value(kind)
        return count
