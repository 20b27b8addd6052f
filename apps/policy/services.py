"""The verbs of policy: the only writer of this app's tables."""

import datetime as dt
from collections import defaultdict
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.catalogue.models import Region
from apps.core import audit
from apps.core.errors import RuleViolation, Text
from apps.core.retention import delete_in_batches
from apps.core.states import move
from apps.policy.faults import InvalidPolicyError
from apps.policy.models import DraftState, Policy, PolicyDraft
from apps.policy.values import PolicyValues
from apps.policy.wording import say


def check_settings(settings: Any) -> PolicyValues:
    """The values that these settings make. Raises `policy_invalid` with every fault in words, by setting."""
    try:
        values = PolicyValues.from_json(settings)
    except InvalidPolicyError as error:
        faults: dict[str, list[Text]] = defaultdict(list)
        for fault in error.faults:
            faults[fault.name].append(say(fault))
        said = " ".join(str(text) for texts in faults.values() for text in texts)
        raise RuleViolation.of_fields(faults, said, code="policy_invalid") from error

    # Checked here and not by the values themselves, which are pure and know no regions.
    known = set(Region.objects.filter(pk__in=values.phases).values_list("pk", flat=True))
    if unknown := sorted(set(values.phases) - known):
        message = _("There is no region %(codes)s.") % {"codes": ", ".join(unknown)}
        raise RuleViolation("policy_invalid", message, field="phases")
    return values


@transaction.atomic
def make_policy(settings: Any, *, note: str, by: User, based_on: int | None = None) -> Policy:
    """Put a new version of the policy into force, from the next decision on.

    `settings` may leave out what has its built-in value. All values are stored, so that a later program with other
    defaults does not change this version. `note` says why. Raises `policy_invalid` for values that make no sense,
    `reason_missing`, and `policy_changed` if somebody else made a version since `based_on` or at the same moment.
    """
    values = check_settings(settings)
    if not note.strip():
        raise RuleViolation("reason_missing", _("Say why, for whoever looks at this version later."), field="note")
    current = Policy.objects.current().version
    if based_on is not None and based_on != current:
        raise _changed(current)
    # Two versions at once would have the same number: the primary key lets one of them through.
    try:
        with transaction.atomic():
            policy = Policy.objects.create(
                version=current + 1, settings=values.to_json(), note=note.strip(), made_by=by
            )
    except IntegrityError as error:
        raise _changed(current + 1) from error
    audit.record(by, "policy.made", policy, version=policy.version)
    return policy


def _changed(version: int) -> RuleViolation:
    return RuleViolation(
        "policy_changed",
        _("Version %(version)s has come into force in the meantime. Read it, then start a new draft from it.")
        % {"version": version},
        version=version,
    )


@transaction.atomic
def draft_policy(settings: Any, *, based_on: int, by: User) -> PolicyDraft:
    """Store settings as a draft, which people look at before it is put into force. Raises `policy_invalid`."""
    values = check_settings(settings)
    draft = PolicyDraft.objects.create(settings=values.to_json(), based_on=based_on, made_by=by)
    audit.record(by, "policy.drafted", draft, based_on=based_on)
    return draft


def lock_draft(draft: PolicyDraft, *, seen: dt.datetime | None = None) -> PolicyDraft:
    """Lock an open draft until the transaction ends, and return it as it is now.

    `seen` is the `updated_at` of the draft that the person looked at. Raises `illegal_move` if the draft is not open
    any more, and `state_changed` if it was changed since.
    """
    locked = PolicyDraft.objects.select_for_update(no_key=True).get(pk=draft.pk)
    if locked.state != DraftState.OPEN:
        raise RuleViolation("illegal_move", _("This draft is not open any more."))
    if seen is not None and locked.updated_at != seen:
        raise RuleViolation("state_changed", _("Somebody has just changed this draft. Check it and try again."))
    return locked


@transaction.atomic
def amend_draft(draft: PolicyDraft, settings: Any, *, by: User, seen: dt.datetime | None = None) -> PolicyDraft:
    """Change an open draft (`lock_draft`). It stays based on the version that it was drafted from."""
    values = check_settings(settings)
    draft = lock_draft(draft, seen=seen)
    PolicyDraft.objects.filter(pk=draft.pk).update(settings=values.to_json())
    audit.record(by, "policy.draft_amended", draft)
    return PolicyDraft.objects.get(pk=draft.pk)


@transaction.atomic
def put_into_force(draft: PolicyDraft, *, note: str, by: User, seen: dt.datetime | None = None) -> Policy:
    """Make an open draft (`lock_draft`) the next version. Raises `policy_changed` if it is based on an older one."""
    draft = lock_draft(draft, seen=seen)
    policy = make_policy(draft.settings, note=note, by=by, based_on=draft.based_on)
    move(draft, DraftState.IN_FORCE, became=policy)
    return policy


@transaction.atomic
def discard_draft(draft: PolicyDraft, *, by: User) -> None:
    move(draft, DraftState.DISCARDED)
    audit.record(by, "policy.draft_discarded", draft)


def forget_discarded(*, before: dt.datetime) -> int:
    """Delete the drafts that were discarded before then, with their replays. Returns how many.

    Versions are never deleted, nor are the drafts that became one.
    """
    old = PolicyDraft.objects.filter(state=DraftState.DISCARDED, updated_at__lt=before)
    return delete_in_batches(old.order_by("pk"), batch=100)


def restore_policy(policy: Policy, *, by: User) -> PolicyDraft:
    """Draft the values of an earlier version anew, to be looked at and put into force as a version of its own."""
    return draft_policy(policy.settings, based_on=Policy.objects.current().version, by=by)
