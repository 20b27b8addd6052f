"""A policy as a ministry reads it: every number with its unit and a plain sentence, and what a version changes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.policy.faults import keys_of
from apps.policy.values import Phase, PolicyValues
from apps.policy.wording import NAMES, PHASE_NAMES, WORDS, Section, SettingUnit, SettingWords, name_of, plain, unit_of
from apps.portal import places

_MINUTES: Final = {SettingUnit.MINUTES: 1, SettingUnit.HOURS: 60, SettingUnit.DAYS: 1440}


def exactly(minutes: float) -> str:
    """A span in the largest unit that leaves no rest: “15 minutes”, “54 hours”, “3 days”."""
    whole = round(minutes)
    if whole % 60:
        return ngettext("%(count)s minute", "%(count)s minutes", whole) % {"count": plain(whole)}
    hours = whole // 60
    if hours % 24 or hours < 48:
        return ngettext("%(count)s hour", "%(count)s hours", hours) % {"count": plain(hours)}
    return ngettext("%(count)s day", "%(count)s days", hours // 24) % {"count": plain(hours // 24)}


def shown(name: str, value: Any) -> str:
    """One value with its unit; `name` as in `PolicyValues.entries`."""
    unit = unit_of(name)
    if value is None:
        return _("no limit")
    if isinstance(value, Phase):
        return phase_in_words(value)
    if isinstance(value, str):
        return str(NAMES.get(value, value))
    if name.startswith("tiers."):
        return _("tier %(number)s") % {"number": value}
    if unit in _MINUTES and (value * _MINUTES[unit]) % 1 == 0:
        return exactly(value * _MINUTES[unit])
    number = plain(value * unit.factor)
    # The plural follows what is written: 1 match, 1.5 matches.
    count, facts = 1 if value == 1 else 2, {"count": number}
    match unit:
        case SettingUnit.PARTS:
            return ngettext("%(count)s part", "%(count)s parts", count) % facts
        case SettingUnit.SUPPLIERS:
            return ngettext("%(count)s supplier", "%(count)s suppliers", count) % facts
        case SettingUnit.MATCHES:
            return ngettext("%(count)s match", "%(count)s matches", count) % facts
    return f"{number} {unit.sign}" if unit.sign else number


def phase_in_words(phase: Phase) -> str:
    if phase.approval:
        return _("%(phase)s; a coordinator reviews each need first") % {"phase": PHASE_NAMES[phase.phase]}
    return _("%(phase)s; needs go out at once") % {"phase": PHASE_NAMES[phase.phase]}


@dataclass(frozen=True)
class Block:
    """Settings that are shown together: single ones, or the columns of one table."""

    settings: list[tuple[SettingWords, str]]
    rows: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def is_table(self) -> bool:
        return bool(self.rows)


def sections(values: PolicyValues) -> list[tuple[str, list[Block]]]:
    """The whole policy, section by section; tables with the same rows are one table."""
    found = []
    for section in Section:
        named = [one for one in fields(values) if WORDS[one.name].section is section]
        if section is Section.PHASES:
            found.append((str(section.title), [_phases(values)]))
        elif named:
            found.append((str(section.title), list(_blocks(values, named))))
    return found


def _blocks(values: PolicyValues, named: Iterable[Any]) -> Iterator[Block]:
    by_rows: dict[tuple[str, ...], list[str]] = {}
    for one in named:
        by_rows.setdefault(keys_of(one) or (), []).append(one.name)
    for keys, names in by_rows.items():
        if not keys:
            yield Block([(WORDS[name], shown(name, getattr(values, name))) for name in names])
            continue
        rows = [(name_of(key), [shown(f"{name}.{key}", getattr(values, name)[key]) for name in names]) for key in keys]
        yield Block([(WORDS[name], "") for name in names], rows)


def _phases(values: PolicyValues) -> Block:
    words = WORDS["phases"]
    rows = [(place, [phase_in_words(phase)]) for place, phase in phases(values)]
    nowhere = "" if rows else _("Normal everywhere; needs go out at once.")
    return Block([(words, nowhere)], rows)


def phases(values: PolicyValues) -> list[tuple[str, Phase]]:
    """The regions that a phase is said of, by name. One query at most."""
    names = places.names_of(values.phases)
    return [(places.in_words(names.get(code)), phase) for code, phase in sorted(values.phases.items())]


def changes(before: PolicyValues, after: PolicyValues) -> list[str]:
    """What is otherwise in `after`, in words, in the order of the settings."""
    old, new = before.entries(), after.entries()
    codes = [name.partition(".")[2] for name in {**old, **new} if name.startswith("phases.")]
    names = places.names_of(codes)
    found = []
    for name in {**new, **old}:
        if name in old and name in new and old[name] == new[name]:
            continue
        facts = {
            "setting": _name(name, names),
            "before": shown(name, old[name]) if name in old else _("nothing said"),
            "after": shown(name, new[name]) if name in new else _("nothing said"),
        }
        found.append(_("%(setting)s: %(after)s instead of %(before)s") % facts)
    return found


def _name(name: str, names: dict[str, tuple[str, str]]) -> str:
    setting, _dot, entry = name.partition(".")
    if setting == "phases":
        return places.in_words(names.get(entry))
    label = str(WORDS[setting].label)
    return _("%(setting)s, %(entry)s") % {"setting": label, "entry": name_of(entry)} if entry else label


def tiers_of(kind: str, before: PolicyValues, after: PolicyValues) -> str:
    """“Community (tier 3)”, or with both tiers where they differ."""
    was, now = before.tier(kind), after.tier(kind)
    facts = {"kind": NAMES[kind], "was": was, "now": now}
    if was == now:
        return _("%(kind)s (tier %(was)s)") % facts
    return _("%(kind)s (tier %(was)s, under the draft %(now)s)") % facts
