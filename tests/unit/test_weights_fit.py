"""GGUF headers and hardware fit: numbers computed by hand, hostile headers, control groups."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import ModelUnavailable
from isthmus.models import fit, gguf, weights
from isthmus.models.fit import Memory

FACTS: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "apache-2.0",
    "llama.block_count": 4,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["t"] * 2000,
    "tokenizer.ggml.scores": [1.5] * 2000,
    "llama.rope.freq_base": 10000.0,
    "general.author": "nobody",
}


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: object) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, list):
        packed = [_value(entry) for entry in value]
        return struct.pack("<I", 9) + packed[0][:4] + struct.pack("<Q", len(value)) + b"".join(p[4:] for p in packed)
    return struct.pack("<II", 4, value)


def header(facts: dict[str, object], version: int = 3) -> bytes:
    body = b"".join(_string(name) + _value(value) for name, value in facts.items())
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(facts)) + body


def write(folder: Path, plain: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(plain)
    return path


def test_header_is_read(tmp_path: Path) -> None:
    model = gguf.read(write(tmp_path, header(FACTS)))
    assert (model.name, model.licence, model.layers, model.vocabulary) == ("Tiny", "apache-2.0", 4, 2000)
    assert model.kv_width == 4 * 2 * (8 + 8)  # layers × heads × (key + value); 64 / 8 numbers a head


def test_heads_may_differ_by_layer_and_widths_be_said(tmp_path: Path) -> None:
    more = {
        "llama.attention.head_count_kv": [1, 0, 2, 4],
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 4,
    }
    assert gguf.read(write(tmp_path, header(FACTS | more))).kv_width == 7 * 20


def test_without_grouped_heads_every_head_is_kept(tmp_path: Path) -> None:
    facts = {name: value for name, value in FACTS.items() if not name.endswith("head_count_kv")}
    assert gguf.read(write(tmp_path, header(facts))).kv_heads == (8, 8, 8, 8)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"GGUF",
        b"GGML" + header(FACTS)[4:],
        header(FACTS, version=1),
        header({"general.architecture": "clip"}),
        header({}),
        header(FACTS | {"llama.attention.head_count": 0}),
        header(FACTS | {"llama.attention.head_count": "eight"}),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + b"\xff" * 64,
    ],
)
def test_what_is_no_language_model_is_said(tmp_path: Path, plain: bytes) -> None:
    with pytest.raises(ModelUnavailable):
        gguf.read(write(tmp_path, plain))


def test_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        gguf.read(tmp_path / "none.gguf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers")


@settings(deadline=None, max_examples=50)
@given(cut=st.integers(0, len(header(FACTS)) - 1))
def test_header_cut_anywhere_is_refused(folder: Path, cut: int) -> None:
    with pytest.raises(ModelUnavailable):
        gguf.read(write(folder, header(FACTS)[:cut]))


@settings(deadline=None, max_examples=100)
@given(at=st.integers(4, 400), noise=st.binary(min_size=1, max_size=12))
def test_hostile_bytes_are_read_or_refused(folder: Path, at: int, noise: bytes) -> None:
    plain = bytearray(header(FACTS))
    plain[at : at + len(noise)] = noise
    try:
        gguf.read(write(folder, bytes(plain)))
    except ModelUnavailable:
        return


@pytest.mark.model
def test_starter_header() -> None:
    path = weights.locate("starter/qwen2.5-coder-0.5b")
    if path is None:
        pytest.skip("the 0.5B starter is not here: isthmus models pull starter/qwen2.5-coder-0.5b")
    model = gguf.read(path)
    assert (model.architecture, model.layers, model.context, model.vocabulary) == ("qwen2", 24, 32768, 151936)
    assert model.kv_width == 24 * 2 * (64 + 64)


def test_fit_counts_weights_cache_and_work(tmp_path: Path) -> None:
    model = gguf.read(write(tmp_path, header(FACTS)))
    result = fit.fit(model, context=1000, budget=10**9)
    assert result.weights == model.size
    assert result.cache == 1000 * model.kv_width * 2
    assert result.need == result.weights + result.cache + result.work
    assert result.fits
    assert result.largest == 4096  # no more than the model was trained for


@given(budget=st.integers(0, 2 * 10**8), context=st.integers(1, 4096))
def test_largest_context_is_where_it_stops_fitting(budget: int, context: int) -> None:
    model = gguf.Gguf("", "llama", "", 10**6, 4, 4096, (2,) * 4, 128, 128, 100)
    largest = fit.fit(model, context, budget).largest
    if largest > 0:
        assert fit.fit(model, largest, budget).fits
    if 0 < largest < model.context:
        assert not fit.fit(model, largest + 1, budget).fits


MEMINFO = "MemTotal:       16000 kB\nMemFree:  100 kB\nMemAvailable:   8000 kB\nHugePages_Total:       0\n"


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Memory:
    for name, text in {"proc/meminfo": MEMINFO, "proc/self/cgroup": cgroup, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return fit.memory(root)


def test_machine_without_groups(tmp_path: Path) -> None:
    assert machine(tmp_path, "", {}) == Memory(16000 * 1024, 8000 * 1024)


def test_group_of_version_2_limits(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/memory.max": "4096000\n",
        "sys/fs/cgroup/a/memory.current": "1096000\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "5\n",
    }
    assert machine(tmp_path, "0::/a/b\n", files) == Memory(4_096_000, 3_000_000)


def test_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "2000000\n", "sys/fs/cgroup/memory.current": "2500000\n"}
    assert machine(tmp_path, "0::/../outside\n", files) == Memory(2_000_000, 0)


def test_group_of_version_1_limits(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/memory"
    files = {
        f"{base}/memory.limit_in_bytes": "9223372036854771712\n",
        f"{base}/memory.usage_in_bytes": "7\n",
        f"{base}/x/memory.limit_in_bytes": "3000000\n",
        f"{base}/x/memory.usage_in_bytes": "1000000\n",
    }
    assert machine(tmp_path, "9:name=systemd:/\n4:memory:/x\n0::/\n", files) == Memory(3_000_000, 2_000_000)


def test_this_machine_has_memory() -> None:
    found = fit.memory()
    assert 0 < found.available <= found.total
    assert fit.budget(None) == found.total * 6 // 10
    assert fit.budget(5) == 5
