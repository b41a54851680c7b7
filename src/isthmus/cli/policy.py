"""``isthmus policy``: check the rules, read them, and see which models they admit and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from isthmus.cards import Card
from isthmus.cli.calling import post
from isthmus.cli.terminal import Config, Json, configuration, group, show
from isthmus.config import Home, LabelSettings, Settings
from isthmus.data.database import Database
from isthmus.data.keys import open_keys
from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.policy.cedar import CedarPolicy
from isthmus.governance.policy.explain import Explained, Explanation, explain
from isthmus.governance.policy.policyset import PolicySet, policy_folder
from isthmus.governance.policy.rules import Rule
from isthmus.labels import Label
from isthmus.models.catalogue import cards
from isthmus.principals import ROLES, Principal

app = group("The rules that decide which models may see a text: check, read, explain.")

Names = list[str] | None


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of *.cedar files (default: the one that is configured).")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check every rule against the schema; say file and line of what is wrong."""
    place = policy_folder(*configuration(config)) if folder is None else folder
    policies = PolicySet.load(place)
    plain = {"folder": str(place), "policy": policies.hash, "rules": [rule.as_dict() for rule in policies.rules]}
    show(plain, json, lambda console: _render_check(console, place, policies))


@app.command("show")
def show_rules(
    name: Annotated[str | None, typer.Argument(help="One rule, as it is written.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """The rules in the order in which they give their names to a refusal, each with its reason."""
    policies = PolicySet.load(policy_folder(*configuration(config)))
    if name is None:
        plain = {"policy": policies.hash, "rules": [rule.as_dict() for rule in policies.rules]}
        show(plain, json, lambda console: _render_rules(console, policies.rules))
        return
    found = policies.named([name])
    if not found:
        raise NotFound(f"There is no rule {name!r}.", hint="List the rules with `isthmus policy show`.")
    show({**found[0].as_dict(), "text": found[0].text}, json, lambda console: _render_rule(console, found[0]))


@app.command("explain")
def explain_command(
    principal: Annotated[str | None, typer.Option("--principal", help="Ask as this key (its id).")] = None,
    role: Annotated[Names, typer.Option("--role", help="Ask in this role (repeatable; default: user).")] = None,
    group: Annotated[Names, typer.Option("--group", help="Ask as a member of this group (repeatable).")] = None,
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", help="Where who asks is, like DE.")] = "",
    level: Annotated[str | None, typer.Option("--level", help="Level of the text (default: of typed text).")] = None,
    category: Annotated[Names, typer.Option("--category", help="A category of the text (repeatable).")] = None,
    residency: Annotated[
        Names, typer.Option("--residency", help="A jurisdiction that may process it (repeatable; default: any).")
    ] = None,
    licence: Annotated[Names, typer.Option("--licence", help="A licence that its sources carry (repeatable).")] = None,
    purpose: Annotated[str, typer.Option("--purpose", help="The purpose that is stated.")] = "",
    model: Annotated[Names, typer.Option("--model", help="Only this model (repeatable; default: all).")] = None,
    day: Annotated[str, typer.Option("--day", help="As on this day, like 2027-06-30 (default: today, UTC).")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Which models may see a text so labelled, and the rule that decides for each."""
    settings, home = configuration(config)
    today = _day(day)
    policy = CedarPolicy(PolicySet.load(policy_folder(settings, home)), lambda: today)
    asker = _known(home, principal) if principal else _imagined(role, group, jurisdiction, settings)
    label = _described(level, category, residency, licence) or _typed(asker, purpose, settings)
    explanation = explain(policy, asker, _chosen(cards(settings, home, today), model), label, purpose)
    show(explanation.as_dict(), json, lambda console: _render_explanation(console, explanation))


@app.command("reload")
def reload_policy(
    why: Annotated[str, typer.Option("--why", help="Why, for the record.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell the server that runs here to put the policy folder's content in force; ISTHMUS_KEY holds your key.

    The key needs the role `policy`. An invalid set is refused, and the one in force stays.
    """
    _, home = configuration(config)
    told = post(home, "/api/policy/reload", {"why": why})
    show(told, json, lambda console: console.print(f"In force: {told['policy']}", markup=False))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError as error:
        raise InvalidRequest(f"{text!r} is not a day.", hint="Write it like 2027-06-30.") from error


def _known(home: Home, key: str) -> Principal:
    if not home.database.is_file():
        raise NotFound(f"There is no key {key!r}.", hint="Make one with `isthmus keys create`.")
    database = Database(home.database)
    try:
        return open_keys(database, home).find(key).principal
    finally:
        database.close()


def _imagined(roles: Names, groups: Names, jurisdiction: str, settings: Settings) -> Principal:
    if unknown := sorted(set(roles or ()) - ROLES):
        raise InvalidRequest(f"There is no role {unknown[0]!r}.", hint=f"The roles are: {', '.join(sorted(ROLES))}.")
    default = _configured(settings.labels.default)
    return Principal("anyone", "anyone", frozenset(roles or ("user",)), frozenset(groups or ()), default, jurisdiction)


def _typed(asker: Principal, purpose: str, settings: Settings) -> Label:
    """The label of what the principal types: a purpose can only raise it."""
    written = settings.labels.purposes.get(purpose)
    return asker.default if written is None else asker.default.join(_configured(written))


def _configured(written: LabelSettings) -> Label:
    return Label.parse(msgspec.to_builtins(written))


def _described(level: str | None, categories: Names, residency: Names, licences: Names) -> Label | None:
    """The label that the options describe; None where they say nothing, and typed text is meant."""
    given = {"level": level, "categories": categories, "residency": residency, "licences": licences}
    said = {name: value for name, value in given.items() if value}
    return Label.parse({"level": "internal", **said}) if said else None


def _chosen(catalogue: Mapping[str, Card], names: Names) -> list[Card]:
    if unknown := sorted(set(names or ()) - set(catalogue)):
        raise NotFound(f"There is no model {unknown[0]!r}.", hint="List them with `isthmus models list`.")
    return [card for card in catalogue.values() if not names or card.id in names]


def _render_check(console: Console, folder: Path, policies: PolicySet) -> None:
    table = _table("rule", "effect", "where")
    for rule in policies.rules:
        table.add_row(rule.name, rule.effect, rule.where)
    console.print(table)
    console.print(f"\n{len(policies.rules)} rules in {folder} are valid.", markup=False)
    console.print(policies.hash, markup=False, style="dim")


def _render_rules(console: Console, rules: tuple[Rule, ...]) -> None:
    table = _table("effect", "rule, and its reason")
    for rule in rules:
        colour = "green" if rule.effect == "permit" else "red"
        with_it = f" (with {', '.join(sorted(rule.obligations))})" if rule.obligations else ""
        table.add_row(f"[{colour}]{rule.effect}[/]", _rule(rule.name + with_it, rule.reason))
    console.print(table)
    console.print("\nWhat no rule permits is denied; a forbid outweighs every permit.", style="dim")


def _render_rule(console: Console, rule: Rule) -> None:
    console.print(f"// {rule.where}", markup=False, style="dim")
    console.print(rule.text, markup=False)


def _render_explanation(console: Console, explanation: Explanation) -> None:
    asker = explanation.principal
    roles, purpose = ", ".join(sorted(asker.roles)), explanation.purpose or "none stated"
    console.print(f"{asker.id} ({roles}) · text: {explanation.label} · purpose: {purpose}\n", markup=False)
    table = _table("model", "may see it", "rule, and its reason")
    for model in explanation.models:
        table.add_row(*_row(model))
    console.print(table)
    console.print(f"\n{explanation.policy}", markup=False, style="dim")


def _row(model: Explained) -> tuple[str | Text, ...]:
    decision = model.decision
    answer = "[green]yes[/]" if decision.allowed else "[red]no[/]"
    if decision.obligations:
        answer += f", with {', '.join(sorted(decision.obligations))}"
    also = f" (also: {', '.join(model.also)})" if model.also else ""
    return model.model, answer, _rule(decision.rule, decision.reason + also)


def _table(*names: str) -> Table:
    """A table whose cells are never cut: on a narrow terminal they go on in the next line."""
    return Table(*(Column(name, overflow="fold") for name in names), box=None)


def _rule(name: str, reason: str) -> Text:
    """Written by people: no markup is read in it."""
    return Text.assemble(name, "\n" if reason else "", (reason, "dim"))
