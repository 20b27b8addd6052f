"""The reasons of a match in words: one sentence for each term of the score, in the language that is active now."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core.errors import Text
from apps.matching.scoring import terms


def explain(reasons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The stored terms of a match as `{term, value, score, weight, text}`, the weightiest first."""
    shown = [
        {
            "term": reason["name"],
            "value": reason["value"],
            "score": reason["score"],
            "weight": reason["weight"],
            "text": sentence(reason["name"], reason["value"], reason["score"]),
        }
        for reason in reasons
    ]
    return sorted(shown, key=lambda reason: -reason["weight"])


def explain_in_every_language(reasons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As `explain`, with `text` by language, because a message is put into its reader's language when it is sent."""
    reasons = list(reasons)
    by_language = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            by_language[language] = explain(reasons)
    return [
        {**reason, "text": {language: said[index]["text"] for language, said in by_language.items()}}
        for index, reason in enumerate(explain(reasons))
    ]


def why_not_to_answer(state: str) -> Text:
    """Why a request in this state takes no answer. A request that is still held takes none once its time has passed."""
    return _OVER[state]


def sentence(name: str, value: Any, score: float) -> str:
    """What one stored reason says. A term that the program no longer has is shown by its name and value."""
    if name == "share":
        return _share(value)
    term = terms.named(name)
    return term.sentence(value, score) if term else f"{name}: {value}"


def _share(value: Any) -> str:
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


_TOO_LATE: Final = gettext_lazy("The time to answer has passed. The need has gone to the next supplier.")
_OVER: Final[dict[str, Text]] = {
    "held": _TOO_LATE,
    "expired": _TOO_LATE,
    "accepted": gettext_lazy("This is already accepted."),
    "declined": gettext_lazy("This is already declined."),
    "superseded": gettext_lazy("This request is withdrawn: others need it more, or the need is met in another way."),
    "cancelled": gettext_lazy("This request is withdrawn."),
    "standby": gettext_lazy("You have not been asked yet."),
}
