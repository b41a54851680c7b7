"""Labels are a lattice: mixing can only climb, and nothing that cannot be read becomes a label."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.errors import InvalidRequest
from isthmus.labels import ORIGIN_LOST, PUBLIC, Label, Level, join

# Few names, so that sets often meet; the empty residency ("this machine") and None ("anywhere") both come often.
NAMES = st.frozensets(st.sampled_from(["personal", "health", "secret"]))
PLACES = st.none() | st.frozensets(st.sampled_from(["DE", "EU", "US"]))
LICENCES = st.frozensets(st.sampled_from(["CC-BY-4.0", "CC-BY-NC-4.0"]))
LABELS = st.builds(Label, st.sampled_from(Level), NAMES, PLACES, LICENCES) | st.sampled_from([PUBLIC, ORIGIN_LOST])


@given(LABELS, LABELS, LABELS)
def test_join_is_associative(a: Label, b: Label, c: Label) -> None:
    assert a.join(b).join(c) == a.join(b.join(c))


@given(LABELS, LABELS)
def test_join_is_commutative(a: Label, b: Label) -> None:
    assert a.join(b) == b.join(a)


@given(LABELS)
def test_join_is_idempotent_and_public_is_its_identity(a: Label) -> None:
    assert a.join(a) == a
    assert a.join(PUBLIC) == PUBLIC.join(a) == a


@given(LABELS)
def test_the_order_is_reflexive_and_public_is_its_bottom(a: Label) -> None:
    assert a.flows_to(a)
    assert PUBLIC.flows_to(a)


@given(LABELS, LABELS)
def test_the_order_is_antisymmetric(a: Label, b: Label) -> None:
    assert (a.flows_to(b) and b.flows_to(a)) == (a == b)


@given(LABELS, LABELS, LABELS)
def test_the_order_is_transitive(a: Label, b: Label, c: Label) -> None:
    b, c = a.join(b), a.join(b).join(c)  # a chain: arbitrary labels are rarely comparable
    assert a.flows_to(b)
    assert b.flows_to(c)
    assert a.flows_to(c)


@given(LABELS, LABELS, LABELS)
def test_the_join_is_the_least_upper_bound(a: Label, b: Label, c: Label) -> None:
    """Above both, and below whatever is above both."""
    assert a.join(b).flows_to(c) == (a.flows_to(c) and b.flows_to(c))


@given(LABELS, LABELS)
def test_the_order_is_the_one_that_join_makes(a: Label, b: Label) -> None:
    assert a.flows_to(b) == (a.join(b) == b)


@given(LABELS, LABELS, LABELS)
def test_join_is_monotone(a: Label, more: Label, c: Label) -> None:
    assert a.join(c).flows_to(a.join(more).join(c))


@given(st.lists(LABELS, max_size=5).flatmap(lambda labels: st.tuples(st.just(labels), st.permutations(labels))))
def test_many_labels_join_in_any_order(pair: tuple[list[Label], list[Label]]) -> None:
    labels, shuffled = pair
    assert join(labels) == join(shuffled)
    assert all(label.flows_to(join(labels)) for label in labels)


def test_no_labels_join_to_public() -> None:
    assert join([]) == PUBLIC


@given(LABELS)
def test_a_label_survives_being_written_and_read(label: Label) -> None:
    written = json.dumps(label.as_dict())
    assert Label.parse(json.loads(written)) == label
    assert json.dumps(Label.parse(json.loads(written)).as_dict()) == written


@given(st.sampled_from(Level))
def test_a_level_alone_is_a_label(level: Level) -> None:
    assert Label.parse(str(level)) == Label(level)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
FIELDS = st.sampled_from(["level", "categories", "residency", "licences", "Level", ""])


@given(
    JSON | st.dictionaries(FIELDS, JSON | st.sampled_from(["public", "restricted"]) | st.lists(st.text(max_size=70)))
)
@example({"level": "public", "categories": {"personal": True}})
@example({"level": "public", "categories": ["two\r\nlines"]})
@example({"level": "public", "licences": ["\ud800"]})
@example({"level": True})
def test_what_cannot_be_read_is_refused_and_never_guessed(plain: object) -> None:
    try:
        label = Label.parse(plain)
    except InvalidRequest:
        return
    assert isinstance(label.level, Level)
    names = label.categories | label.licences | (label.residency or frozenset())
    assert all(0 < len(name) <= 64 and name.isprintable() for name in names)
    if isinstance(plain, dict):
        assert all(isinstance(plain.get(field, []), list) for field in ("categories", "licences"))
    assert Label.parse(label.as_dict()) == label


@pytest.mark.parametrize(
    "plain", [{"levels": "public"}, {"level": "secret"}, {"level": 2}, {"level": None}, [], 3, None]
)
def test_a_misspelt_label_is_refused(plain: object) -> None:
    with pytest.raises(InvalidRequest):
        Label.parse(plain)
