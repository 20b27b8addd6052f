"""What a policy may say, and how a fault is named."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.permissions import KINDS, Permission
from apps.demands.models import URGENCY_RANK
from apps.policy import terms
from apps.policy.faults import Fault, InvalidPolicyError, Wrong, keys_of
from apps.policy.values import FINEST, REQUESTERS, URGENCIES, Doubt, Phase, PolicyValues
from apps.policy.wording import NAMES, WORDS, label_of, name_of, say

BUILT_IN = PolicyValues()
NUMBERS = [one.name for one in fields(PolicyValues) if one.type in {int, float}]
OPTIONAL = [one.name for one in fields(PolicyValues) if one.type == float | None]
TABLES = [one.name for one in fields(PolicyValues) if keys_of(one) is not None]
EARLIER = sorted((Path(__file__).parent / "data").glob("*.json"))
TOY = terms.WeighedTerm("toy", 0.25, "How toyish it is")
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.just(math.nan),
    st.just(math.inf),
    st.just(10**400),
)


def faults(settings: Any) -> list[Fault]:
    with pytest.raises(InvalidPolicyError) as caught:
        PolicyValues.from_json(settings)
    return list(caught.value.faults)


def named(settings: Any) -> set[str]:
    return {fault.name for fault in faults(settings)}


def test_what_was_written_is_read_back_the_same() -> None:
    values = PolicyValues(phases={"420000": Phase("emergency", approval=True)}, share_cap=0.25)
    assert PolicyValues.from_json(json.loads(json.dumps(values.to_json()))) == values
    assert PolicyValues.from_json({}) == BUILT_IN


def test_every_setting_is_of_a_kind_that_is_checked() -> None:
    known = {*NUMBERS, *OPTIONAL, *TABLES, "fairness", "phases"}
    assert known == {one.name for one in fields(PolicyValues)}


def test_urgencies_and_kinds_are_those_of_the_platform() -> None:
    """A pure module cannot ask for them."""
    assert list(URGENCIES) == [str(urgency) for urgency in URGENCY_RANK]
    assert set(REQUESTERS) == {str(kind) for kind, may in KINDS.items() if Permission.POST_DEMANDS in may}
    assert set(BUILT_IN.tiers) == set(REQUESTERS)


@pytest.mark.parametrize("name", NUMBERS)
@given(value=junk)
def test_a_number_is_a_number(name: str, value: Any) -> None:
    assert named({name: value}) == {name}


@pytest.mark.parametrize("name", OPTIONAL)
@given(value=junk.filter(lambda value: value is not None))
def test_a_number_that_may_be_left_out_is_a_number_or_none(name: str, value: Any) -> None:
    assert named({name: value}) == {name}
    assert getattr(PolicyValues.from_json({name: None}), name) is None


@pytest.mark.parametrize("name", TABLES)
@given(value=junk, data=st.data())
def test_an_entry_of_a_table_is_a_number(name: str, value: Any, data: st.DataObject) -> None:
    table = dict(getattr(BUILT_IN, name))
    key = data.draw(st.sampled_from(sorted(table)))
    assert named({name: {**table, key: value}}) == {f"{name}.{key}"}


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_a_table_has_all_its_entries_and_no_others(name: str, data: st.DataObject) -> None:
    table = dict(getattr(BUILT_IN, name))
    key = data.draw(st.sampled_from(sorted(table)))
    value = table.pop(key)
    with pytest.raises(InvalidPolicyError) as caught:
        PolicyValues(**{name: table})  # type: ignore[arg-type]  # whatever table it is
    assert list(caught.value.faults) == [Fault(f"{name}.{key}", Wrong.MISSING)]
    assert faults({name: {**table, key: value, "more": value}}) == [Fault(f"{name}.more", Wrong.UNKNOWN)]


def with_later_terms(weights: dict[str, float]) -> dict[str, float]:
    """A table of weights as it is read: terms that it does not name weigh nothing."""
    return {**dict.fromkeys(BUILT_IN.weights, 0), **weights}


@pytest.mark.parametrize("stored", EARLIER, ids=lambda path: path.stem)
def test_a_policy_stored_by_an_earlier_program_is_read(stored: Path) -> None:
    """The files hold one version of each shape that a stored policy has had, with values of its own."""
    settings = json.loads(stored.read_text(encoding="utf-8"))

    read = PolicyValues.from_json(settings).to_json()

    settings["weights"] = with_later_terms(settings["weights"])
    assert {name: read[name] for name in settings} == settings
    built_in = BUILT_IN.to_json()
    assert {name: read[name] for name in read.keys() - settings} == {
        name: built_in[name] for name in built_in.keys() - settings
    }


@pytest.mark.parametrize("stored", EARLIER, ids=lambda path: path.stem)
def test_a_stored_policy_weighs_a_later_term_with_nothing(stored: Path) -> None:
    settings = json.loads(stored.read_text(encoding="utf-8"))
    with terms.added(TOY):
        read = PolicyValues.from_json(settings)
        assert read.weights == {**with_later_terms(settings["weights"]), "toy": 0}
    assert PolicyValues.from_json(settings).weights == with_later_terms(settings["weights"])


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"weights"}))
def test_a_missing_entry_of_a_stored_table_has_its_default(name: str) -> None:
    table = dict(getattr(BUILT_IN, name))
    table.pop("hospital" if name in {"tiers", "trial_lots"} else "urgent")
    assert getattr(PolicyValues.from_json({name: table}), name) == getattr(BUILT_IN, name)


def test_a_new_policy_weighs_every_registered_term() -> None:
    with terms.added(TOY):
        values = PolicyValues()
        assert values.weights == terms.default_weights()
        assert values.weights["toy"] == pytest.approx(0.2)
        assert values.weights["coverage"] == pytest.approx(BUILT_IN.weights["coverage"] * 0.8)
        assert sum(values.weights.values()) == pytest.approx(1)
        assert PolicyValues.from_json(values.to_json()) == values
        assert (name_of("toy"), label_of("weights.toy")) == ("How toyish it is", "Weights: How toyish it is")
    assert PolicyValues() == BUILT_IN


def test_default_weights_add_up_to_one() -> None:
    """Those of the product, before anything is divided: so the page shows round numbers."""
    assert sum(term.default_weight for term in terms.registered()) == pytest.approx(1, abs=1e-12)
    assert terms.default_weights() == {term.name: term.default_weight for term in terms.registered()}


def test_a_term_is_registered_once() -> None:
    with terms.added(TOY):
        terms.register(TOY)
        with pytest.raises(ValueError, match="toy"):
            terms.register(terms.WeighedTerm("toy", 0.5, "Another"))
        with pytest.raises(ValueError, match="toy"), terms.added(TOY):
            pass
    for name, weight in [("no name", 0.1), ("toy", 1.1), ("toy", -0.1)]:
        with pytest.raises(ValueError, match=r"name|weight"):
            terms.WeighedTerm(name, weight, "Toy")


@pytest.mark.parametrize("value", [0, 1.0, -5, "15", True, 43_201])
def test_a_time_to_answer_is_whole_minutes_above_nothing(value: Any) -> None:
    assert named({"hold_minutes": {**BUILT_IN.hold_minutes, "urgent": value}}) == {"hold_minutes.urgent"}


@given(st.dictionaries(st.sampled_from(sorted(BUILT_IN.weights)), st.floats(0, 1), min_size=7))
def test_weights_add_up_to_one_or_are_refused_with_their_sum(weights: dict[str, float]) -> None:
    total = sum(weights.values())
    if abs(total - 1) <= FINEST:
        assert PolicyValues.from_json({"weights": weights}).weights == weights
        return
    [fault] = faults({"weights": weights})
    assert (fault.name, fault.wrong) == ("weights", Wrong.SUM)
    assert fault.facts["total"] == pytest.approx(total)


def test_the_sum_of_the_weights_is_said_in_words() -> None:
    weights = {**BUILT_IN.weights, "price": 0.0}
    [fault] = faults({"weights": weights})
    assert say(fault) == "Weights: They must add up to 100 %. They add up to 95 %: 5 % are missing."
    [fault] = faults({"weights": {**weights, "price": 0.1}})
    assert "105 %: take 5 % away" in say(fault)


def test_however_little_is_missing_it_is_said() -> None:
    def sevenths(weight: float) -> dict[str, float]:
        return with_later_terms(dict.fromkeys(list(BUILT_IN.weights)[:7], weight))

    [fault] = faults({"weights": sevenths(0.14285714)})
    assert say(fault).endswith("They add up to 99.999998 %: 0.000002 % are missing.")
    PolicyValues(weights=sevenths(0.142857142))


@given(st.floats(1.01 * FINEST, 1e-6), st.sampled_from([-1, 1]))
def test_a_sum_that_is_refused_is_never_said_to_be_right(apart: float, sign: int) -> None:
    [fault] = faults({"weights": {**BUILT_IN.weights, "price": 0.05 + sign * apart}})
    assert "to 100 %: " not in say(fault)
    assert " 0 %" not in say(fault)


def test_nobody_is_asked_after_the_need_is_suspended() -> None:
    assert named({"ask_hours": {**BUILT_IN.ask_hours, "urgent": 168}}) == {"ask_hours.urgent"}
    assert named({"offer_ask_hours": 400}) == {"offer_ask_hours"}


@pytest.mark.parametrize(
    "settings", [None, [], "x", 5, {"cat": 1}, {"phases": []}, {"phases": {"420000": "emergency"}},
                 {"phases": {"420000": {"phase": "war"}}}, {"phases": {"420000": {"approval": 1}}},
                 {"phases": {"420000": {"level": 1}}}, {"fairness": "all"}, {"fairness": 1}, {"fairness": []}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_said_in_every_language(settings: Any) -> None:
    for language in ("en", "zh-hans"):
        with translation.override(language):
            assert all(say(fault) for fault in faults(settings))


def test_the_nearest_region_on_the_path_says_what_holds() -> None:
    here, wuhan = Phase("emergency", approval=True), Phase("emergency", approval=False)
    values = PolicyValues(phases={"420000": here, "420100": wuhan})

    assert values.phase_of("CN/420000/420100/420106/") == ("420100", wuhan)
    assert values.phase_of("CN/420000/429004/") == ("420000", here)
    assert values.phase_of("CN/440000/") == (None, Phase())


def test_every_setting_and_every_entry_has_its_words() -> None:
    assert set(WORDS) == {one.name for one in fields(PolicyValues)}
    entries = {key for one in fields(PolicyValues) for key in keys_of(one) or one.metadata.get("choices", ())}
    assert entries - set(NAMES) - set(terms.names()) == set()
    assert all(name_of(entry) != entry for entry in entries)


def test_changes_of_a_draft_are_applied_to_the_version_in_between() -> None:
    base = PolicyValues()
    mine = PolicyValues.from_json({"share_cap": 0.4, "hold_minutes": {**base.hold_minutes, "urgent": 90}})
    hubei = {"420000": {"phase": "emergency", "approval": True}}
    theirs = PolicyValues.from_json(
        {"standbys": 5, "hold_minutes": {**base.hold_minutes, "routine": 600}, "phases": hubei}
    )

    rebased = mine.rebased(base, theirs)

    assert rebased.share_cap == 0.4
    assert rebased.standbys == 5
    assert rebased.hold_minutes == {"emergency": 15, "urgent": 90, "routine": 600}
    assert rebased.phases == theirs.phases


def test_weights_are_rebased_together_and_contradictions_are_not() -> None:
    base = PolicyValues()
    mine = PolicyValues.from_json({"weights": {**base.weights, "price": 0.2, "coverage": 0.1}})
    theirs = PolicyValues.from_json({"weights": {**base.weights, "record": 0.2, "distance": 0.1}})
    assert mine.rebased(base, theirs).weights == mine.weights

    later = PolicyValues.from_json({"offer_ask_hours": 300})
    sooner = PolicyValues.from_json({"offer_stale_hours": 250})
    assert later.rebased(base, sooner) == later


def test_what_a_ministry_hardly_means_is_asked_about() -> None:
    assert list(PolicyValues().doubts()) == []
    odd = PolicyValues.from_json(
        {
            "hold_minutes": {"emergency": 300, "urgent": 120, "routine": 1440},
            "escalation_hours": {"emergency": 1, "urgent": 500, "routine": 72},
            "tiers": {"hospital": 5, "health_facility": 2, "community": 3, "enterprise": 1, "supplier": 4},
        }
    )
    assert list(odd.doubts()) == [
        (Doubt.HOLD_OUTLASTS_ESCALATION, "emergency"),
        (Doubt.ESCALATION_OUTLASTS_NEED, "urgent"),
        (Doubt.HOSPITALS_NOT_FIRST, ""),
    ]
