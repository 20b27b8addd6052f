"""`python -m tests.nodes.stage`: a market that serves every need, and who will post; prints their tokens as JSON.

With `check`, it prints what is wrong at the end.
"""

import json
import os
import sys

import django

HOSPITALS = 10
SUPPLIERS = 40


def fill() -> list[str]:
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # nobody logs in
    from apps.accounts.services import issue_token
    from tests.factories import ItemFactory, OfferFactory, OrganisationFactory, SupplierFactory, member, region

    item = ItemFactory.create()
    for _number in range(SUPPLIERS):
        supplier = SupplierFactory.create()
        member(supplier, email=f"supplier{supplier.pk}@example.org")
        OfferFactory.create(organisation=supplier, item=item, quantity=1_000_000, queued=True)
    tokens = []
    for _number in range(HOSPITALS):
        hospital = OrganisationFactory.create(region=region("420100"))
        buyer = member(hospital, email=f"buyer{hospital.pk}@example.org")
        tokens.append(issue_token(buyer, name="nodes", scopes=["read", "write", "exports"])[1])
    return tokens


def faults() -> dict[str, object]:
    from django.db.models import F, Max

    from apps.demands.models import Demand
    from apps.notifications.models import Message
    from apps.ops.data.invariants import broken_invariants, untold

    asked = Message.objects.filter(event="match.proposed")
    waited = asked.aggregate(longest=Max(F("sent_at") - F("created_at")))["longest"]
    decided = Demand.objects.aggregate(longest=Max(F("matches__created_at") - F("opened_at")))["longest"]
    return {
        "longest until asked": decided.total_seconds() if decided else None,
        "longest until told": waited.total_seconds() if waited else None,
        "needs": Demand.objects.count(),
        "nobody asked": Demand.objects.filter(matches=None).count(),
        "waiting": Demand.objects.exclude(match_requested_at=None).count(),
        "unsent": Message.objects.exclude(state="sent").count(),
        "sent": [str(uid) for uid in Message.objects.filter(state="sent").values_list("uid", flat=True)],
        "invariants": broken_invariants(),
        "untold": untold(),
    }


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")
    django.setup()
    print(json.dumps(faults() if sys.argv[1:] == ["check"] else fill()))
