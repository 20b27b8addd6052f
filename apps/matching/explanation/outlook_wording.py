"""An outlook in words, in the language that is active now: why nobody could be asked, and what would help."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy, pgettext

from apps.demands.models import Demand, DemandState, QuantityKind, Urgency
from apps.matching.explanation.outlook import MOST_OFFERS, Outlook
from apps.matching.explanation.survey import Way
from apps.matching.scoring.eligibility import Action, Reason, check_of, counted


def in_every_language(write: Callable[[], list[str]]) -> list[dict[str, str]]:
    """Sentences as a message needs them: each by language."""
    written = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            written[language] = write()
    count = max(map(len, written.values()))
    return [{language: sentences[place] for language, sentences in written.items()} for place in range(count)]


def _number(value: int) -> str:
    return str(number_format(value, force_grouping=True))


def _in_language(names: Mapping[str, str]) -> str:
    """The text in the language that is active now, of a text in several."""
    return names["zh-hans" if (translation.get_language() or "").startswith("zh") else "en"]


def listed(names: Iterable[str]) -> str:
    """“Hubei, Hunan”, with the comma of the language."""
    return str(pgettext("between the members of a list", ", ")).join(names)


# Of those with several offers: of all suppliers that have the goods, and of some of them.
_MIXED: Final = (
    ngettext_lazy(
        "It has several offers, and each of them is ruled out for another reason.",
        "All of them have several offers, and each of those is ruled out for another reason.",
        "count",
    ),
    ngettext_lazy(
        "%(number)s of them has several offers, and each of those is ruled out for another reason.",
        "%(number)s of them have several offers, and each of those is ruled out for another reason.",
        "count",
    ),
)


def why(outlook: Outlook) -> list[str]:
    """Why nobody could be asked, in sentences: who has it, what keeps each of them back, what would be a substitute."""
    return [text for _reason, text in reasons(outlook)]


def reasons(outlook: Outlook) -> list[tuple[Reason | None, str]]:
    """The same with the reason that each sentence is about."""
    survey, demand = outlook.survey, outlook.demand
    if not outlook.is_counted:
        return [(None, _not_counted(demand))]
    total = survey.suppliers
    facts = {
        "item": demand.item.label,
        "region": _in_language(demand.region.full_names),
        "standard": demand.standard.code if demand.standard else "",
        "wanting": _number(demand.quantity_remaining),
    }
    if not total:
        head = _("Nobody offers %(item)s at the moment. As soon as somebody does, they are asked within seconds.")
        if outlook.is_asked:
            head = _(
                "Nobody else offers %(item)s at the moment. As soon as somebody does, they are asked within seconds."
            )
        found: list[tuple[Reason | None, str]] = [(None, head % facts)]
    else:
        head = ngettext("%(number)s supplier has %(item)s.", "%(number)s suppliers have %(item)s.", total)
        if outlook.is_asked:
            head = ngettext(
                "%(number)s other supplier has %(item)s.", "%(number)s other suppliers have %(item)s.", total
            )
        found = [(None, head % {**facts, "number": _number(total)})]
    if outlook.is_partial:
        text = _("There are more offers: only the %(number)s that were confirmed last are counted here.")
        found.append((None, text % {"number": _number(MOST_OFFERS)}))
    if survey.candidates:
        text = ngettext(
            "%(number)s of them fits and is asked at the next round.",
            "%(number)s of them fit and are asked at the next round.",
            survey.candidates,
        )
        found.append((None, text % {"number": _number(survey.candidates)}))

    def told(of_all: Any, of_some: Any, count: int) -> str:
        return str((of_all if count == total else of_some) % {**facts, "count": count, "number": _number(count)})

    blocked = [(check, survey.blocked[check.reason]) for check in counted() if check.reason in survey.blocked]
    found += [(check.reason, told(check.of_all, check.of_some, count)) for check, count in blocked]
    if survey.mixed:
        found.append((None, told(*_MIXED, survey.mixed)))
    found += [(Reason.STOCK, text) for text in _rivals(outlook)]
    if similar := survey.group(Reason.SUBSTITUTE):
        way = next(way for way in outlook.ways if way.action is Action.SUBSTITUTES)
        count = similar.suppliers
        text = check_of(Reason.SUBSTITUTE).of_some % {
            "count": count,
            "number": _number(count),
            "items": _items(outlook, way),
        }
        found.append((Reason.SUBSTITUTE, text))
    return found


def _not_counted(demand: Demand) -> str:
    if demand.state != DemandState.OPEN:
        return _("This need is not open. Until it is, nobody is asked, and suppliers’ stock is not counted.")
    return _("“%(name)s” is not verified. Until it is, nobody is asked, and suppliers’ stock is not counted.") % {
        "name": demand.organisation.name
    }


def _rivals(outlook: Outlook) -> list[str]:
    """Who has what would fit: by priority, without names."""
    rivals = outlook.rivals
    found = []
    if rivals.above:
        text = ngettext(
            "%(number)s need of higher priority was served first.",
            "%(number)s needs of higher priority were served first.",
            rivals.above,
        )
        found.append(text % {"number": _number(rivals.above)})
    if rivals.equal:
        text = ngettext(
            "%(number)s need of the same priority came before this one.",
            "%(number)s needs of the same priority came before this one.",
            rivals.equal,
        )
        found.append(text % {"number": _number(rivals.equal)})
    return found


def _items(outlook: Outlook, way: Way) -> str:
    return listed(outlook.items[item].label for item, _suppliers in way.items)


def change_of(outlook: Outlook, way: Way) -> dict[str, object]:
    """The change as facts of the need, in the words of the API; empty where there is none to make."""
    match way.action:
        case Action.SUBSTITUTES:
            return {"accepts_substitutes": True}
        case Action.STANDARD:
            best, _suppliers = way.standards[0]
            return {"standard": outlook.standards[best].code if best is not None else None}
        case Action.MORE | Action.LESS:
            # With its kind: a need of unknown quantity has none until it is said to have one.
            return {"quantity": way.quantity, "quantity_kind": QuantityKind.EXACT.value}
        case Action.URGENT:
            return {"urgency": Urgency.URGENT.value}
        case Action.REGION:
            return {"region": way.places[0]} if way.places else {}
    raise AssertionError(way)


def help_of(outlook: Outlook, way: Way) -> str:
    """What the requester could do, and what it would open."""
    opened = ngettext("%(number)s supplier", "%(number)s suppliers", way.suppliers) % {"number": _number(way.suppliers)}
    if way.units is None:
        gain = _("That would make %(suppliers)s available.") % {"suppliers": opened}
    else:
        gain = _("That would make %(suppliers)s available, with %(units)s %(unit)s.") % {
            "suppliers": opened,
            "units": _number(way.units),
            "unit": _in_language(outlook.demand.item.unit.short_names),
        }
    return f"{_advice(outlook, way)} {gain}"


def _advice(outlook: Outlook, way: Way) -> str:
    match way.action:
        case Action.SUBSTITUTES:
            return _("Accept substitutes, if they will do: %(items)s.") % {"items": _items(outlook, way)}
        case Action.STANDARD:
            names = [
                outlook.standards[pk].code if pk is not None else _("none stated") for pk, _suppliers in way.standards
            ]
            return _("Ask for another standard, if it will do: %(standards)s.") % {"standards": listed(names)}
        case Action.MORE:
            text = _("Ask for at least %(quantity)s, alone or together with neighbours, to reach a minimum order.")
            return text % {"quantity": _number(way.quantity or 0)}
        case Action.LESS:
            text = _("Ask for at most %(quantity)s at a time, so that what small offers have left is worth a shipment.")
            return text % {"quantity": _number(way.quantity or 0)}
        case Action.URGENT:
            return _("If you cannot wait, say that it is urgent: then donations from far away come at once.")
        case Action.REGION:
            if not way.places:
                return _("A coordinator may be able to arrange the transport.")
            return _("Have it delivered to %(places)s, or let a coordinator arrange the transport.") % {
                "places": pgettext("between the last two choices", " or ").join(
                    _in_language(outlook.places[code].full_names) for code in way.places
                )
            }
    raise AssertionError(way)
