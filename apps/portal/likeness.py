"""What was found of two organisations that may be one, in words."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.duplicates.models import DuplicateProposal

# What a finding says, as (tone, words): reasons for and against, for a person who decides.
_SAYS: Final[dict[tuple[str, str], tuple[str, str | Promise]]] = {
    ("code", "same"): ("good", _("The same registration number")),
    ("code", "different"): ("bad", _("Different registration numbers")),
    ("phone", "same"): ("good", _("The same phone number")),
    ("phone", "close"): ("good", _("Phone numbers that differ in one digit")),
    ("phone", "different"): ("quiet", _("Different phone numbers")),
    ("name", "same"): ("good", _("The same name, apart from places and spelling")),
    ("name", "close"): ("good", _("Names that differ in a character or two")),
    ("name", "contained"): ("quiet", _("One name is a part of the other")),
    ("name", "conflict"): ("bad", _("Names of two different kinds or numbers")),
    ("name", "different"): ("bad", _("Different names")),
    ("place", "same"): ("good", _("The same place")),
    ("place", "wider"): ("quiet", _("The place of one lies within that of the other")),
    ("place", "city"): ("bad", _("Two places in one city")),
    ("place", "elsewhere"): ("bad", _("Places far from each other")),
    ("address", "same"): ("good", _("The same street and number")),
    ("address", "close"): ("good", _("Streets that are written almost alike")),
    ("address", "different"): ("quiet", _("Different streets or numbers")),
    ("kind", "different"): ("quiet", _("Different kinds of organisation")),
}


def says(proposal: DuplicateProposal) -> list[tuple[str, str | Promise]]:
    """The evidence in words."""
    return [_SAYS[finding] for finding in proposal.findings.items() if finding in _SAYS]
