"""The verb of policy: the only writer of this app's table."""

from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.policy.models import BUILT_IN, Policy
from apps.policy.values import PolicyValues


@transaction.atomic
def make_policy(settings: dict[str, Any], *, note: str, by: User) -> Policy:
    """Put a new version of the policy into force, from the next matching on.

    `settings` are what differs from the built-in values. Raises `policy_invalid` for numbers that make no sense.
    """
    try:
        PolicyValues.from_json(settings)
    except (ValueError, TypeError, AttributeError) as error:
        raise RuleViolation("policy_invalid", str(error), field="settings") from error
    newest = Policy.objects.select_for_update().order_by("-version").first()
    version = (newest.version if newest else BUILT_IN) + 1
    policy = Policy.objects.create(version=version, settings=settings, note=note, made_by=by)
    audit.record(by, "policy.made", policy, version=version)
    return policy
