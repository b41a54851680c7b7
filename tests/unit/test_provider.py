"""The providers' door: built-ins and strangers come through the same one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from llama_clock import ManualClock

from isthmus.cards import Card
from isthmus.config import Home, ModelSettings
from isthmus.errors import ConfigInvalid
from isthmus.models.provider import ProviderContext, Providers, load
from isthmus.models.scripted import Scripted, ScriptedProvider
from isthmus.models.transport import AiohttpTransport

PLUGIN = """
from isthmus.models.scripted import ScriptedProvider

class Acme(ScriptedProvider):
    pass
"""


def context(home: Path) -> ProviderContext:
    return ProviderContext(Home(home), AiohttpTransport(), ManualClock())


@pytest.mark.parametrize("name", ["llama_cpp", "minilm", "scripted", "openai", "ollama"])
def test_built_ins_are_entry_points(name: str) -> None:
    assert callable(load(name))


def test_an_unknown_provider_names_the_known() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load("nobody")
    assert "llama_cpp" in caught.value.hint


def test_a_strangers_package_comes_through_the_same_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_plugin.py").write_text(PLUGIN)
    facts = tmp_path / "acme_plugin-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugin\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[isthmus.providers]\nacme = acme_plugin:Acme\nbroken = acme_plugin:Missing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_plugin", raising=False)
    providers = Providers(context(tmp_path))
    settings = ModelSettings(id="m", provider="acme", options={"echo": True})
    assert isinstance(providers.chat(settings, Card("m", "acme")), Scripted)
    with pytest.raises(ConfigInvalid, match="cannot be loaded"):
        load("broken")


def test_models_of_one_provider_share_it(tmp_path: Path) -> None:
    providers = Providers(context(tmp_path))
    card = Card("m", "scripted")
    providers.chat(ModelSettings(id="m", provider="scripted"), card)
    providers.chat(ModelSettings(id="n", provider="scripted"), replace(card, id="n"))
    providers.embedder(ModelSettings(id="e", provider="scripted", kind="embedding"), replace(card, kind="embedding"))
    (one,) = providers
    assert isinstance(one, ScriptedProvider)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ModelSettings(id="m", provider="llama_cpp", locality="in_process"), "needs `weights`"),
        (ModelSettings(id="m", provider="llama_cpp", weights="starter/qwen2.5-coder-0.5b"), "in_process"),
        (
            ModelSettings(id="m", provider="llama_cpp", weights="x", locality="in_process", options={"thread": 2}),
            "no option 'thread'",
        ),
        (
            ModelSettings(id="m", provider="llama_cpp", weights="x", locality="in_process", options={"threads": True}),
            "whole number",
        ),
        (ModelSettings(id="m", provider="minilm"), "no chat models"),
        (ModelSettings(id="m", provider="scripted", options={"repplies": []}), "options"),
    ],
)
def test_settings_that_make_no_sense_are_told(tmp_path: Path, settings: ModelSettings, message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        Providers(context(tmp_path)).chat(settings, Card("m", settings.provider))
