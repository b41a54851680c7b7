"""Reading a folder of policies: every rule has a name and a place, and a wrong one is refused with both."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from policy_fixtures import ALLOW_ALL, write

from isthmus.config import Home, PolicySettings, Settings
from isthmus.errors import PolicyInvalid, PolicyUnavailable
from isthmus.governance.policy.policyset import SCHEMA, STARTER, PolicySet, policy_folder
from isthmus.governance.policy.source import statements

PERMIT = "permit (principal, action, resource)"


def test_the_starter_set_is_valid_and_every_rule_says_why() -> None:
    rules = PolicySet.load(STARTER).rules
    assert [rule.name for rule in rules] == [
        "role-may-not-ask",
        "confidential-stays-on-premises",
        "terms-expired",
        "above-clearance",
        "category-not-cleared",
        "residency-not-allowed",
        "non-commercial-source",
        "in-process-models-within-clearance",
        "on-premises-models-within-clearance",
        "closed-models-within-clearance",
    ]
    assert all(rule.reason for rule in rules)


WRONG = {
    f'@id("a")\n{PERMIT} when {{': "unexpected end of input",
    f'@id("a") {PERMIT} when {{ foo }};': "invalid variable: foo",
    f'@id("a") {PERMIT}': "unexpected end of input",
    f'@id("a") {PERMIT} when {{ "open }};': "invalid token",
    f"{PERMIT};": "has no name",
    f"@id {PERMIT};": "has no name",
    f'@id("Über uns") {PERMIT};': "cannot be a rule's name",
    f'@id("default-deny") {PERMIT};': "cannot be a rule's name",
    f'@id("policy-error") {PERMIT};': "cannot be a rule's name",
    f'@id("{"a" * 65}") {PERMIT};': "cannot be a rule's name",
    f'@id("a") @obligaton("review") {PERMIT};': "no annotation @obligaton",
    f'@id("a") @obligation("reveiw") {PERMIT};': "no obligation 'reveiw'",
    f'@id("a") @obligation {PERMIT};': "no obligation ''",
    '@id("a") @obligation("mark") forbid (principal, action, resource);': "belongs to a permit",
    f'@id("a") {PERMIT} when {{ resource.colour == "red" }};': "attribute `colour` on entity type `Model` not found",
    f'@id("a") {PERMIT} when {{ context.day == 3 }};': "`day`",
    f'@id("a") {PERMIT} when {{ context.label.level == "high" }};': "not compatible",
    f'@id("a") {PERMIT} when {{ principal.roles == ["user"] && resource.leaves > 3 }};': "expected Long but saw Bool",
    '@id("a") permit (principal, action == Action::"read", resource);': "unrecognized action",
    '@id("a") permit (principal is User, action, resource);': "User",
    '@id("a") permit (principal == ?principal, action, resource);': "a template",
}


@pytest.mark.parametrize(("text", "complaint"), WRONG.items())
def test_a_wrong_rule_is_refused_with_its_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    folder = write(tmp_path, {"a.cedar": ALLOW_ALL, "b.cedar": f"// a comment;\n\n{text}\n"})
    with pytest.raises(PolicyInvalid) as caught:
        PolicySet.load(folder)
    assert caught.value.message.startswith(f"{folder / 'b.cedar'}:3: ")
    assert complaint in caught.value.message


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = f'{ALLOW_ALL}\n{PERMIT};\n@id("b")\n{PERMIT}\nwhen {{ nothing }};\n'
    with pytest.raises(PolicyInvalid) as caught:
        PolicySet.load(write(tmp_path, {"a.cedar": text}))
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert [problem.split(": ")[0] for problem in problems] == [f"{tmp_path}/a.cedar:5", f"{tmp_path}/a.cedar:6"]


def test_two_rules_may_not_share_a_name(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"b\.cedar:1: 'all' is the name of the rule in a\.cedar:1 too"):
        PolicySet.load(write(tmp_path, {"a.cedar": ALLOW_ALL, "b.cedar": ALLOW_ALL}))


@pytest.mark.parametrize(("name", "text"), [("a.txt", ALLOW_ALL), ("a.cedar", "// nothing\n"), (".a.cedar", ALLOW_ALL)])
def test_a_folder_without_a_rule_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(PolicyInvalid, match="no rule"):
        PolicySet.load(write(tmp_path, {name: text}))


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(PolicyUnavailable, match="No such file"):
        PolicySet.load(tmp_path / "absent")


def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"a.cedar": ALLOW_ALL})
    (tmp_path / "b.cedar").symlink_to(tmp_path / "gone.cedar")
    with pytest.raises(PolicyUnavailable, match=r"b\.cedar"):
        PolicySet.load(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_bytes(b"\xff\xfe\x00p")
    with pytest.raises(PolicyInvalid, match=r"a\.cedar: not UTF-8"):
        PolicySet.load(tmp_path)


def test_a_rule_in_a_folder_below_counts(tmp_path: Path) -> None:
    folder = write(tmp_path, {"z.cedar": ALLOW_ALL, "below/a.cedar": '@id("no") forbid (principal, action, resource);'})
    elsewhere = write(tmp_path / ".elsewhere", {"x.cedar": f'@id("x") {PERMIT};'})
    (tmp_path / "linked").symlink_to(elsewhere)
    places = [(rule.name, rule.where) for rule in PolicySet.load(folder).rules]
    assert places == [("no", "below/a.cedar:1"), ("x", "linked/x.cedar:1"), ("all", "z.cedar:1")]


def test_the_hash_is_the_documented_one_and_changes_with_every_change(tmp_path: Path) -> None:
    folder = write(tmp_path, {"b.cedar": ALLOW_ALL, "a.cedar": f'@id("x")\n{PERMIT};\n'})
    parts = (SCHEMA.read_text(), "a.cedar", (folder / "a.cedar").read_text(), "b.cedar", ALLOW_ALL)
    first = PolicySet.load(folder).hash
    assert first == "sha256:" + hashlib.sha256("".join(part + "\0" for part in parts).encode()).hexdigest()
    (folder / "b.cedar").write_bytes(ALLOW_ALL.replace("\n", "\r\n").encode())
    assert PolicySet.load(folder).hash == first
    (folder / "b.cedar").write_text(ALLOW_ALL.replace("everything", "anything"), encoding="utf8")
    second = PolicySet.load(folder).hash
    (folder / "b.cedar").rename(folder / "c.cedar")
    assert len({first, second, PolicySet.load(folder).hash}) == 3


def test_statements_end_where_cedar_ends_them() -> None:
    text = '// one; two\n@reason("a;b // \\" c") permit (a); // tail;\r// still;\n\nforbid (b)\n;;rest'
    found = [(statement.line, statement.text) for statement in statements(text, "f")]
    assert found == [
        (2, '@reason("a;b // \\" c") permit (a);'),
        (4, "forbid (b)\n;"),
        (5, ";"),
        (5, "rest"),
    ]


def test_the_folder_is_the_configured_one_or_the_starter_set(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", tmp_path / "isthmus.yaml")
    assert policy_folder(Settings(), home) == STARTER
    configured = Settings(policy=PolicySettings(folder="policies"))
    assert policy_folder(configured, home) == tmp_path / "home" / "policies"
    write(tmp_path, {"policies/a.cedar": ALLOW_ALL})
    assert policy_folder(configured, home) == tmp_path / "policies"
