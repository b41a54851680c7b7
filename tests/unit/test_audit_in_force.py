"""What is in force against what the log said last: settings without secrets, and a policy that fails closed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.clock import SystemClock
from isthmus.config import Settings, parse
from isthmus.data.database import Database
from isthmus.data.places import Kept, Places
from isthmus.errors import AuditUnavailable, PolicyInvalid, VerificationFailed
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.layout import bundle_path
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Place
from isthmus.governance.audit.writing.log import Log
from isthmus.governance.history import History
from isthmus.governance.policy.folder import PolicyFolder
from isthmus.governance.settings import MOST_BYTES, address, canonical, changed, form
from isthmus.orchestration.changes import Changes, Origin
from isthmus.seams import Receipt

JANE = Path("/home/jane")
YES, NO = '@id("yes") permit (principal, action, resource);', '@id("no") forbid (principal, action, resource);'
BY = Origin("uid:1000", "because")
MODELS = """
server: {port: 1}
models:
  - id: closed/a
    provider: azure_openai
    base_url: "https://jane:hunter2@Vendor.example:8443/v1?key=hunter3#hunter4"
    api_key: ${KEY}
    price: {input: 3.0}
    terms: {contract: C-1, expires: 2027-01-01}
    options: {api-version: hunter5, threads: 4, fast: true}
  - {id: local/b, provider: llama_cpp, weights: /home/jane/weights.gguf}
policy: {folder: /home/jane/policies}
audit:
  database: ${DATABASE}
  witnesses: [{url: "https://jane:hunter6@witness.example/w", vkey: w+01234567+AAAA}]
"""


# ---------------------------------------------------------------- settings


def test_nothing_secret_and_no_name_is_in_the_form() -> None:
    shown = form(parse(MODELS), JANE)
    assert "hunter" not in json.dumps(shown.settings)
    assert "jane" not in json.dumps(shown.settings)
    closed, local = shown.settings["models"]
    assert closed["base_url"] == "https://Vendor.example:8443/v1"
    assert closed["api_key"] == "${KEY}"
    assert (closed["options"]["threads"], closed["options"]["fast"]) == (4, True)
    assert closed["options"]["api-version"].startswith("sha256:")
    assert local["weights"] == "~/weights.gguf"
    assert shown.settings["audit"]["database"] == "${DATABASE}"
    assert shown.settings["audit"]["witnesses"][0]["url"] == "https://witness.example/w"
    assert shown.settings["policy"] == {"folder": "~/policies"}


def test_what_is_the_default_is_not_told_and_counts_all_the_same() -> None:
    assert form(Settings()).settings == {}
    assert form(parse("server: {port: 8787}")) == form(Settings())
    assert form(parse("server: {port: 1}")).digest != form(Settings()).digest


@pytest.mark.parametrize("url", ["", "x", "https://[bad", "http://a@b@c/p?q", "file:///etc/passwd"])
def test_an_address_that_is_none_tells_no_password(url: str) -> None:
    assert "@" not in address(url)
    assert "?" not in address(url)


def test_the_paths_of_what_changed() -> None:
    before, after = form(parse(MODELS), JANE).settings, form(parse(AFTER), JANE).settings
    assert changed(before, after) == [
        "audit.database", "audit.witnesses",
        "models.closed/a.options.api-version", "models.closed/a.price.input", "models.closed/a.price.output",
        "models.closed/a.terms.expires", "models.closed/c", "models.local/b", "server.port",
    ]  # fmt: skip
    assert changed(before, before) == []
    assert changed({}, before) == [
        "audit.database", "audit.witnesses", "models.closed/a", "models.local/b", "policy.folder", "server.port",
    ]  # fmt: skip


AFTER = """
models:
  - id: closed/a
    provider: azure_openai
    base_url: https://Vendor.example:8443/v1
    api_key: ${KEY}
    price: {input: 4.0, output: 1.0}
    terms: {contract: C-1}
    options: {api-version: other, threads: 4, fast: true}
  - {id: closed/c, provider: openai, api_key: "${KEY}"}
policy: {folder: /home/jane/policies}
"""


def test_the_same_models_in_another_order_are_a_change() -> None:
    first, second = {"id": "a", "provider": "x"}, {"id": "b", "provider": "x"}
    assert changed({"models": [first, second]}, {"models": [second, first]}) == ["models"]


def test_a_section_that_does_not_fit_into_an_entry_is_its_digest() -> None:
    many = "\n".join(f"  - {{id: m/{n}, provider: openai, api_key: '${{K}}', tier: {'t' * 200}}}" for n in range(400))
    large = form(parse(f"server: {{port: 1}}\nmodels:\n{many}"))
    assert large.settings["models"].keys() == {"bytes", "digest"}
    assert large.settings["server"] == {"port": 1}
    assert len(canonical(large.settings)) <= MOST_BYTES
    other = form(parse(f"server: {{port: 1}}\nmodels:\n{many}\n  - {{id: z, provider: minilm}}"))
    assert changed(large.settings, other.settings) == ["models"]
    assert changed({}, other.settings) == ["models", "server.port"]


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    | st.lists(st.fixed_dictionaries({"id": st.text(max_size=2)}, optional={"x": inner}), max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), _plain), st.dictionaries(st.text(min_size=1, max_size=3), _plain)
)
def test_whatever_an_old_entry_holds_can_be_compared(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert changed(before, before) == []
    assert len(changed(before, after)) <= 201


# ---------------------------------------------------------------- the last entry of a type


CONFIG = frozenset({"c"})


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    database = Database(tmp_path / "isthmus.db")
    yield Places(database)
    database.close()


async def _written(folder: Path, *kinds: str) -> None:
    log = Log.in_folder(Place(folder, folder.parent / "key"), SystemClock())
    for kind in kinds:
        await log.append({"type": kind}, flush=False)
    await log.stop()


def _history(folder: Path, places: Places) -> History:
    return History(lambda: Reader(Folder(folder)), places)


def _said(folder: Path, places: Places, types: frozenset[str] = CONFIG) -> object:
    """The number of the entry that said it last."""
    found = _history(folder, places).latest("config", types)
    return None if found is None else found["seq"]


async def test_the_last_entry_is_found_wherever_it_lies(tmp_path: Path, places: Places) -> None:
    folder = tmp_path / "audit"
    assert _said(folder, places) is None
    await _written(folder, "c", "x", "c", *["y"] * 600)
    assert _said(folder, places, frozenset({"c", "d"})) == 2
    assert _said(folder, places, frozenset({"z"})) is None


@pytest.mark.parametrize("index", [1, 300, 602, 603, 10**9])
@pytest.mark.parametrize("read", [0, 3, 603, 10**9])
async def test_a_place_that_is_wrong_is_not_believed(tmp_path: Path, places: Places, index: int, read: int) -> None:
    folder = tmp_path / "audit"
    await _written(folder, "x", "x", "c", *["y"] * 600)
    places.keep("config", Kept(index, read))
    assert _said(folder, places) == 2


@pytest.mark.parametrize("later", [3, 256, 511, 602])
@pytest.mark.parametrize("read", [2, 10**9])
async def test_a_place_that_is_stale_is_not_believed(tmp_path: Path, places: Places, later: int, read: int) -> None:
    """A store that was restored, or whose process died between the entry and its place; or one of a longer log."""
    folder = tmp_path / "audit"
    kinds = ["y"] * 603
    kinds[1] = kinds[later] = "c"
    await _written(folder, *kinds)
    places.keep("config", Kept(1, read))
    assert _said(folder, places) == later


async def test_what_was_read_before_is_not_read_again(tmp_path: Path, places: Places) -> None:
    folder = tmp_path / "audit"
    await _written(folder, "c", *["y"] * 1000)
    places.keep("config", Kept(0, 900))
    bundle_path(folder, 1).unlink()  # whoever reads it notices
    assert _said(folder, places) == 0
    places.keep("config", Kept(0, 500))
    with pytest.raises(VerificationFailed):
        _said(folder, places)


async def test_a_place_is_kept_once_much_was_read(tmp_path: Path, places: Places) -> None:
    folder = tmp_path / "audit"
    await _written(folder, "c", *["y"] * 10_000)
    _history(folder, places).keep("config", 0)
    assert _said(folder, places) == 0
    assert places.find("config") == Kept(0, 10_001)


async def test_a_broken_entry_that_may_be_the_last_one_is_not_passed_over(tmp_path: Path, places: Places) -> None:
    folder = tmp_path / "audit"
    await _written(folder, "c", *["y"] * 300, "c", "y")
    bundle = bundle_path(folder, 1)
    bundle.write_bytes(bundle.read_bytes().replace(b'"seq":301', b'"seq":999'))
    with pytest.raises(VerificationFailed) as broken:
        _said(folder, places)
    assert broken.value.details["index"] == 301


def test_places_are_kept_in_the_store(places: Places) -> None:
    assert places.find("config") is None
    places.keep("config", Kept(7, 8))
    places.keep("config", Kept(9, 300))
    places.keep("policy", Kept(1, 2))
    assert (places.find("config"), places.find("policy")) == (Kept(9, 300), Kept(1, 2))


def test_a_place_of_an_older_version_says_only_itself(tmp_path: Path, places: Places) -> None:
    with Database(tmp_path / "isthmus.db").write() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('entry:config', 7)")
    assert places.find("config") == Kept(7, 8)


# ---------------------------------------------------------------- the policy


@dataclass
class Told:
    """A log in memory that fails while it is told to; the history of its own entries."""

    broken: bool = False
    entries: list[dict[str, Any]] = field(default_factory=list)

    async def append(self, event: Mapping[str, Any], *, flush: bool) -> int:
        assert flush
        if self.broken:
            raise AuditUnavailable("The disk is full.")
        self.entries.append({**event})
        return len(self.entries) - 1

    async def receipt(self, index: int) -> Receipt:
        raise NotImplementedError

    def latest(self, name: str, types: frozenset[str]) -> dict[str, Any] | None:
        return next((entry for entry in reversed(self.entries) if entry["type"] in types), None)

    def keep(self, name: str, index: int) -> None:
        assert self.entries[index]["type"].startswith(name)


def _folder(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.cedar").write_text(text, encoding="utf8")
    return folder


def _changes(log: Told, folder: Path) -> tuple[Changes, PolicyFolder]:
    policy = PolicyFolder(folder, lambda: datetime.now(UTC).date())
    return Changes(log, log, policy), policy


async def test_a_start_records_what_is_new_and_only_that(tmp_path: Path) -> None:
    log = Told()
    changes, policy = _changes(log, _folder(tmp_path, a=YES))
    await changes.begin(form(parse("server: {port: 1}")), BY)
    config, first = log.entries
    assert (config["type"], config["before"], config["changed"], config["why"]) == (
        "config.changed", None, ["server.port"], "because"
    )  # fmt: skip
    assert (first["type"], first["before"], first["policy"]) == ("policy.changed", None, policy.hash)
    assert (first["added"], first["removed"], list(first["files"])) == (["a.cedar"], [], ["a.cedar"])
    await changes.begin(form(parse("server: {port: 1}")), BY)
    assert len(log.entries) == 2
    await changes.begin(form(parse("server: {port: 2}")), BY)
    assert (log.entries[2]["before"], log.entries[2]["changed"]) == (config["digest"], ["server.port"])
    _folder(tmp_path, a=NO, b=YES)
    again, _ = _changes(log, tmp_path)
    await again.begin(form(parse("server: {port: 2}")), BY)
    assert (log.entries[3]["changed"], log.entries[3]["added"], log.entries[3]["before"]) == (
        ["a.cedar"], ["b.cedar"], first["policy"]
    )  # fmt: skip


async def test_where_a_server_listens_is_not_in_force_in_another_command(tmp_path: Path) -> None:
    log = Told()
    changes, _ = _changes(log, _folder(tmp_path, a=YES))
    await changes.begin(form(parse("server: {port: 1}")), BY)
    await changes.begin(form(Settings()), Origin("uid:1000", "", "ask"))
    assert len(log.entries) == 2
    await changes.begin(form(parse("routing: {failover: 3}")), Origin("uid:1000", "", "ingest"))
    assert log.entries[2]["changed"] == ["routing.failover", "server.port"]
    assert log.entries[2]["command"] == "ingest"


async def test_a_policy_takes_effect_only_once_it_is_recorded(tmp_path: Path) -> None:
    log = Told()
    changes, policy = _changes(log, _folder(tmp_path, a=YES))
    before = policy.hash
    _folder(tmp_path, a=NO)
    log.broken = True
    with pytest.raises(AuditUnavailable):
        await changes.reload(BY)
    assert policy.hash == before
    log.broken = False
    assert await changes.reload(BY) == policy.hash != before
    (entry,) = log.entries
    assert (entry["type"], entry["before"], entry["policy"]) == ("policy.reloaded", before, policy.hash)
    assert (entry["changed"], entry["by"], entry["why"]) == (["a.cedar"], "uid:1000", "because")


async def test_an_invalid_policy_is_recorded_and_the_old_one_stays(tmp_path: Path) -> None:
    log = Told()
    changes, policy = _changes(log, _folder(tmp_path, a=YES))
    before = policy.hash
    _folder(tmp_path, a="permit")
    with pytest.raises(PolicyInvalid):
        await changes.reload(BY)
    assert (log.entries[0]["type"], log.entries[0]["before"], log.entries[0]["code"]) == (
        "policy.rejected", before, "policy_invalid"
    )  # fmt: skip
    assert policy.hash == before


async def test_a_start_that_cannot_be_recorded_is_none(tmp_path: Path) -> None:
    changes, _ = _changes(Told(broken=True), _folder(tmp_path, a=YES))
    with pytest.raises(AuditUnavailable):
        await changes.begin(form(Settings()), BY)


async def test_very_many_files_fit_into_an_entry(tmp_path: Path) -> None:
    rules = {f"{'n' * 200}{number}": YES.replace("yes", f"yes-{number}") for number in range(300)}
    log = Told()
    changes, _ = _changes(log, _folder(tmp_path, **rules))
    await changes.begin(form(Settings()), BY)
    entry = log.entries[-1]
    assert entry["count"] == 300
    assert "files" not in entry
    assert len(json.dumps(entry)) < 60_000


def test_a_date_in_the_settings_is_told_as_a_date() -> None:
    settings = parse("models: [{id: a, provider: x, terms: {expires: 2027-01-31}}]")
    assert form(settings).settings["models"][0]["terms"] == {"expires": date(2027, 1, 31).isoformat()}
