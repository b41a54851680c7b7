"""Replacing the policies in force: as a whole, at once, and only by a set that is valid."""

from __future__ import annotations

import shutil
import threading
from datetime import date
from pathlib import Path

import pytest

from isthmus.cards import Card, Clearance
from isthmus.errors import IsthmusError, PolicyInvalid, PolicyUnavailable
from isthmus.governance.policy.folder import PolicyFolder
from isthmus.governance.policy.policyset import STARTER
from isthmus.labels import INTERNAL, Level
from isthmus.principals import Principal
from isthmus.seams import Ask

QUESTION = Ask(Principal("key_me", "me"), Card("m", "p", clearance=Clearance(Level.INTERNAL)), INTERNAL)
YES, NO = '@id("yes") permit (principal, action, resource);', '@id("no") forbid (principal, action, resource);'
BROKEN = {
    "syntax": '@id("a") permit (principal, action, resource) when {',
    "type": '@id("a") permit (principal, action, resource) when { resource.colour == "red" };',
    "no name": "permit (principal, action, resource);",
    "twice": YES + YES,
    "empty": "",
}


def _today() -> date:
    return date(2026, 11, 24)


def _folder(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rules.cedar").write_text(text, encoding="utf8")
    return folder


def test_a_reload_puts_the_new_set_in_force_for_questions_asked_before(tmp_path: Path) -> None:
    policy = PolicyFolder(_folder(tmp_path, YES), _today)
    before = policy.decide(QUESTION)
    assert (before.allowed, before.rule) == (True, "yes")
    _folder(tmp_path, NO)
    assert policy.decide(QUESTION) == before
    reloaded = policy.reload()
    after = policy.decide(QUESTION)
    assert (after.allowed, after.rule) == (False, "no")
    assert [rule.name for rule in policy.policies.rules] == [rule.name for rule in reloaded.rules] == ["no"]
    assert after.policy == policy.hash == reloaded.hash == policy.policies.hash != before.policy


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_an_invalid_set_is_refused_and_the_old_one_stays(tmp_path: Path, text: str) -> None:
    policy = PolicyFolder(_folder(tmp_path, YES), _today)
    before = policy.decide(QUESTION)
    _folder(tmp_path, text)
    with pytest.raises(PolicyInvalid):
        policy.reload()
    assert policy.decide(QUESTION) == before
    assert policy.hash == before.policy


def test_a_folder_that_went_away_leaves_the_old_set_in_force(tmp_path: Path) -> None:
    policy = PolicyFolder(_folder(tmp_path / "policies", YES), _today)
    shutil.rmtree(tmp_path / "policies")
    with pytest.raises(PolicyUnavailable):
        policy.reload()
    assert policy.decide(QUESTION).allowed


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_nothing_starts_without_a_valid_set(tmp_path: Path, text: str) -> None:
    with pytest.raises(IsthmusError):
        PolicyFolder(_folder(tmp_path, text), _today)


def test_every_decision_is_by_one_whole_set_while_sets_are_replaced(tmp_path: Path) -> None:
    policy = PolicyFolder(_folder(tmp_path, NO), _today)
    hashes = {policy.hash: "no"}
    _folder(tmp_path, YES)
    hashes[policy.reload().hash] = "yes"
    done, wrong = threading.Event(), []

    def ask() -> None:
        while not done.is_set():
            decision = policy.decide(QUESTION)
            if hashes.get(decision.policy) != decision.rule or decision.allowed != (decision.rule == "yes"):
                wrong.append(decision)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for turn in range(40):
        _folder(tmp_path, YES if turn % 2 else NO)
        policy.reload()
    done.set()
    for asker in askers:
        asker.join()
    assert not wrong


def test_a_copy_of_the_starter_set_is_in_force_as_it_is(tmp_path: Path) -> None:
    shutil.copytree(STARTER, tmp_path / "policies")
    assert PolicyFolder(tmp_path / "policies", _today).hash == PolicyFolder(STARTER, _today).hash
