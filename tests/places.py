"""Who may see and change what: the table of `test_walk.py`."""

import re
from dataclasses import dataclass
from typing import Final

# --- Who is what to whose objects -------------------------------------------------------------------------------------

# Own and colleague's objects are of one hospital in Hubei and its supplier; the rival's are of another such pair there;
# the far ones are in Lombardy. `crossed` is an address whose first object is one's own and whose second is the rival's.
WHOSE: Final = ("own", "colleague", "rival", "far", "crossed")

HERE: Final = ("own", "colleague")
HUBEI: Final = ("own", "colleague", "rival")
PARTIES: Final[dict[str, dict[str, str]]] = {
    "nobody": {},
    "stranger": {},  # an account without an organisation
    "manager": dict.fromkeys(HERE, "manager"),
    "member": dict.fromkeys(HERE, "member"),
    "viewer": dict.fromkeys(HERE, "viewer"),
    "supplier": dict.fromkeys(HERE, "supplier"),  # the other side of the match
    "rival": {"rival": "manager"},
    "rival_supplier": {"rival": "supplier"},
    "coordinator": dict.fromkeys(HUBEI, "desk"),
    "far_coordinator": {"far": "desk"},
    "partner": dict.fromkeys(HUBEI, "watcher"),
    "far_partner": {"far": "watcher"},
    "staff": {},  # may enter the back office, and has no right there
    "superuser": dict.fromkeys(WHOSE, "superuser"),
}
# Tokens and notifications are of one person. These are theirs.
PERSON: Final = {"manager": "own", "member": "colleague", "rival": "rival"}

REQUESTER: Final = "manager member viewer "
WATCHING: Final = "desk watcher "


@dataclass(frozen=True)
class Place:
    """All addresses that begin so: the object of the last argument, which parties see it and which may change it."""

    begins: str
    thing: str
    sees: str
    changes: str


PLACES: Final = [
    Place("needs/{pk}", "demand", REQUESTER + WATCHING, "manager member desk"),
    Place("supply/{pk}", "offer", "supplier " + WATCHING, "supplier desk"),
    Place("supply/import/{pk}", "import", "supplier", "supplier"),
    Place("inbox/{pk}", "match", REQUESTER + "supplier " + WATCHING, "supplier desk"),
    Place("orders/{pk}", "order", REQUESTER + "supplier " + WATCHING, "manager member supplier desk"),
    Place("reports/{pk}", "report", "self", "self"),
    Place("reports/new/{kind}", "=organisation", "", ""),
    Place("reports/new/{kind}/{pk}", "organisation", REQUESTER + "supplier " + WATCHING, "supplier " + WATCHING),
    Place("notifications/{pk}", "notification", "self", "self"),
    Place("account/tokens/{key}", "token", "self", "self"),
    Place("account/close/", "", "everybody", "everybody"),
    Place("account/2fa/webauthn/keys/{pk}", "passkey", "", ""),
    Place("organisation/{pk}", "organisation", REQUESTER + WATCHING, "manager desk"),
    Place("organisation/{pk}/leave/", "organisation", REQUESTER, "manager member viewer"),
    Place("organisation/{pk}/evidence/{evidence_pk}", "evidence", "manager desk", ""),
    Place("organisation/{pk}/members/{member_pk}", "membership", "manager desk", "manager desk"),
    Place("organisation/{pk}/invitations/{invitation_pk}", "invitation", "manager desk", "manager desk"),
    Place("organisation/{pk}/webhooks/{endpoint_pk}", "webhook", "manager desk", "manager desk"),
    Place("levers/{pk}", "lever", "desk", "desk"),
    Place("desk/organisations/{pk}", "organisation", "desk", "desk"),
    Place("desk/duplicates/{pk}", "duplicate", "desk", "desk"),
    Place("desk/merges/{pk}", "merge", "desk", "desk"),
    Place("desk/needs/{pk}", "demand", "desk", "desk"),
    Place("desk/needs/{pk}/{step}", "=pause", "desk", "desk"),
    Place("desk/needs/{pk}/offers/{offer_pk}", "offer", "desk", "desk"),
    Place("desk/offers/{pk}", "offer", "desk", "desk"),
    Place("desk/offers/{pk}/{step}", "=publish", "desk", "desk"),
    Place("desk/reports/{pk}", "report", "desk", "desk"),
    Place("desk/messages/{pk}", "message", "desk", "desk"),
    Place("desk/policy/versions/{number}", "=1", "desk watcher", ""),
    Place("desk/policy/drafts/{pk}", "draft", "desk", ""),  # who coordinates the country changes it
    Place("desk/waiting/{name}", "=verify", "desk", "desk"),
    Place("api/v1/demands/{pk}", "demand", REQUESTER + WATCHING, "manager member desk"),
    Place("api/v1/offers/{pk}", "offer", "supplier " + WATCHING, "supplier desk"),
    Place("api/v1/imports/{pk}", "import", "supplier", "supplier"),
    Place("api/v1/matches/{pk}", "match", REQUESTER + "supplier " + WATCHING, "supplier desk"),
    Place("api/v1/orders/{pk}", "order", REQUESTER + "supplier " + WATCHING, "manager member supplier desk"),
    Place("api/v1/organisations/{pk}", "organisation", REQUESTER + WATCHING, "manager desk"),
    Place("api/v1/reports/{pk}", "report", "self desk", "desk"),
    Place("api/v1/tokens/{id}", "token", "self", "self"),
    Place("api/v1/webhooks/{pk}", "webhook", REQUESTER, "manager"),
    Place("admin/{object_id}", "row", "superuser", "superuser"),
    # What everybody may read.
    Place("api/v1/items/{key}", "=mask.surgical", "everybody", ""),
    Place("api/v1/standards/{code}", "=YY 0469-2011", "everybody", ""),
    Place("api/v1/regions/{code}", "=420106", "everybody", ""),
    Place("api/v1/units/{code}", "=piece", "everybody", ""),
    # Lists of one's own, by another word: who reads which rows is told by the marks.
    Place("api/v1/exports/{dataset}", "=orders", "everybody", ""),
    Place("admin/{id}", "row", "superuser", "superuser"),
    Place("admin/{app_label}", "=accounts", "superuser", ""),
    Place("admin/r/{content_type_id}", "=1", "superuser", ""),
    Place("admin/r/{content_type_id}/{object_id}", "=1", "superuser", ""),
    Place("admin/{url}", "=nowhere", "", ""),
    # Signed: the signature is the key, and this one is forged. Who has a true one is tested with each kind of link.
    Place("a/{signed}", "=forged", "everybody", ""),
    Place("invitation/{signed}", "=forged", "everybody", ""),
    Place("account/confirm-email/{key}", "=forged", "everybody", ""),
    Place("account/password/reset/key/{uidb36}", "=1", "everybody", ""),
    Place("account/password/reset/key/{uidb36}-{key}", "=forged", "everybody", ""),
    Place("dev/mail/{name}", "=forged", "everybody", ""),
]
BY_BEGINNING: Final = {place.begins: place for place in PLACES}

# --- What may be read -------------------------------------------------------------------------------------------------

# By role, the marks that any answer may show: whose, of which side, what.
READS: Final = {
    "nobody": "",
    "stranger": "",
    "manager": "(own|colleague)-requester-.*|(own|colleague)-supplier-(name|address|contact|note)",
    "member": "(own|colleague)-requester-.*|(own|colleague)-supplier-(name|address|contact|note)",
    "viewer": "(own|colleague)-requester-.*|(own|colleague)-supplier-(name|address|contact|note)",
    "supplier": "(own|colleague)-supplier-.*|(own|colleague)-requester-(name|address|contact|note)",
    "rival": "rival-requester-.*|rival-supplier-(name|address|contact|note)",
    "rival_supplier": "rival-supplier-.*|rival-requester-(name|address|contact|note)",
    # Who could help a need comes from anywhere, so its page names suppliers of other regions, too.
    "coordinator": "(own|colleague|rival)-.*|far-supplier-name",
    "far_coordinator": "far-.*|(own|colleague|rival)-supplier-name",
    "partner": "(own|colleague|rival)-(requester|supplier)-(name|address|note)",
    "far_partner": "far-(requester|supplier)-(name|address|note)",
    "staff": "",
    "superuser": ".*",
}

# What each request may write whoever sends it: the trail, sessions, and what follows from one's own account.
ANYBODYS: Final = {
    "core_auditentry",
    "django_session",
    "usersessions_usersession",
    "django_admin_log",
    "exports_publication",
    "exports_regionsums",
    "fulfilment_contactreveal",
}
# What a person writes without being anything to the organisation that the body names.
ONES_OWN: Final = {
    "accounts_user",
    "account_emailaddress",
    "accounts_organisation",
    "accounts_membership",
    "notifications_notification",
}


def places(template: str) -> list[Place | None]:
    """For each argument of the address, its line in `PLACES`."""
    found = []
    for argument in re.finditer(r"{\w+}", template):
        begins = template[: argument.end()]
        if begins not in BY_BEGINNING and begins.startswith("admin/"):
            begins = f"admin/{argument.group()}"
        found.append(BY_BEGINNING.get(begins))
    return found
