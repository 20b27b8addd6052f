"""The reasons of a match in words: one sentence for each term of the score, in the language that is active now."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core.errors import Text


def explain(terms: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stored terms of a match as `{term, value, score, weight, text}`, the weightiest first."""
    shown = [
        {
            "term": term["name"],
            "value": term["value"],
            "score": term["score"],
            "weight": term["weight"],
            "text": sentence(term["name"], term["value"], term["score"]),
        }
        for term in terms
    ]
    return sorted(shown, key=lambda term: -term["weight"])


def explain_in_every_language(terms: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As `explain`, with `text` by language: a message is written in the language of whoever reads it, later."""
    terms = list(terms)
    by_language = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            by_language[language] = explain(terms)
    return [
        {**reason, "text": {language: reasons[place]["text"] for language, reasons in by_language.items()}}
        for place, reason in enumerate(explain(terms))
    ]


def why_not_to_answer(state: str) -> Text:
    """Why a request in this state takes no answer; one that is still held, because its time has passed."""
    return _OVER[state]


def sentence(name: str, value: Any, score: float) -> str:
    """What one term says. `value` and `score` are as `matching.ranking.score` stores them."""
    write = _SENTENCES.get(name)
    if write is None:
        return f"{name}: {value}"
    return write(value, score)


def _coverage(value: Any, score: float) -> str:
    if score >= 1:
        return _("It has enough for all that is still needed.")
    # Never "0 %" for a little, nor "100 %" for almost all.
    share = min(99, max(1, round(score * 100)))
    return _("It has enough for %(share)s %% of what is still needed: %(quantity)s.") % {
        "share": share,
        "quantity": number_format(value, force_grouping=True),
    }


def _distance(value: Any, _score: float) -> str:
    if value is None:
        return _("The distance is not known.")
    if value < 1:
        return _("It comes from the same place.")
    return ngettext("It comes from %(km)s km away.", "It comes from %(km)s km away.", round(value)) % {
        "km": number_format(value, force_grouping=True)
    }


def _lead_time(value: Any, score: float) -> str:
    if not value:
        return _("It can be sent at once.")
    if score <= 0:
        return ngettext(
            "It takes %(days)s day to come, which is too late.",
            "It takes %(days)s days to come, which is too late.",
            value,
        ) % {"days": value}
    return ngettext("It takes %(days)s day to come.", "It takes %(days)s days to come.", value) % {"days": value}


def _standard(value: Any, _score: float) -> str:
    texts = {
        "equal": _("It states the standard that is needed."),
        "exceeds": _("Its standard meets or exceeds the one that is needed."),
        "stated": _("No standard was asked for; it states one."),
        "unstated": _("No standard was asked for, and none is stated."),
        "substitute": _("It is a substitute: another item, which was said to be welcome."),
    }
    return texts.get(value, str(value))


def _freshness(value: Any, _score: float) -> str:
    days = int(value)
    if days < 1:
        return _("The supplier confirmed it within the last day.")
    return ngettext(
        "The supplier last confirmed it %(days)s day ago.", "The supplier last confirmed it %(days)s days ago.", days
    ) % {"days": days}


def _record(value: Any, score: float) -> str:
    if not value:
        return _("The supplier is new here: neither good nor bad is known of it.")
    return ngettext(
        "The supplier has had %(count)s match before; its record is %(share)s of 100.",
        "The supplier has had %(count)s matches before; its record is %(share)s of 100.",
        value,
    ) % {"count": number_format(value, force_grouping=True), "share": round(score * 100)}


def _price(value: Any, _score: float) -> str:
    if value == "donation":
        return _("It is a donation.")
    if value is None:
        return _("There is no price to compare.")
    percent = round((value - 1) * 100)
    if percent == 0:
        return _("Its price is the usual one.")
    if percent < 0:
        return _("Its price is %(percent)s %% below the usual one.") % {"percent": -percent}
    return _("Its price is %(percent)s %% above the usual one.") % {"percent": percent}


def _share(value: Any, _score: float) -> str:
    """What a need was given of a contested item, and why not more: why is one of `reasons.OF_SHORTAGES`."""
    given, wanting = (number_format(value[name], force_grouping=True) for name in ("given", "wanting"))
    if not value["because"]:
        return _("All %(wanting)s that were still needed are asked for.") % {"wanting": wanting}
    others, above = value["others"], value["above"]
    why = {
        "no_source": _("no offer fits."),
        "minimum": _("what is left is less than its suppliers' minimum orders."),
        "capped": _("that is the largest share one need can have while others need it too."),
        "shared": ngettext(
            "it is shared with %(others)s other need of the same priority.",
            "it is shared with %(others)s other needs of the same priority.",
            others,
        )
        % {"others": number_format(others, force_grouping=True)},
        "higher": ngettext(
            "%(above)s need of higher priority was served first.",
            "%(above)s needs of higher priority were served first.",
            above,
        )
        % {"above": number_format(above, force_grouping=True)},
        "exhausted": _("that is all there is."),
    }
    text = _("%(given)s of %(wanting)s could be asked for: %(why)s")
    if not value["given"]:
        text = _("None of the %(wanting)s that are needed could be asked for: %(why)s")
    return text % {
        "given": given,
        "wanting": wanting,
        "why": why[value["because"]],
    }


_SENTENCES = {
    "coverage": _coverage,
    "distance": _distance,
    "lead_time": _lead_time,
    "standard": _standard,
    "freshness": _freshness,
    "record": _record,
    "price": _price,
    "share": _share,
}

_TOO_LATE: Final = gettext_lazy("The time to answer has passed. The need has gone to the next supplier.")
_OVER: Final[dict[str, Text]] = {
    "held": _TOO_LATE,
    "expired": _TOO_LATE,
    "accepted": gettext_lazy("This is already accepted."),
    "declined": gettext_lazy("This is already declined."),
    "superseded": gettext_lazy("This request is withdrawn: others need it more, or the need is served otherwise."),
    "cancelled": gettext_lazy("This request is withdrawn."),
    "standby": gettext_lazy("You have not been asked yet."),
}
