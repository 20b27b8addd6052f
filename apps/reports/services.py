"""The verbs of reports: the only writer of this app's tables. Posts and organisations have verbs of their own."""

import datetime as dt
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Organisation, OrganisationState, User
from apps.accounts.permissions import Permission, can
from apps.accounts.verification import reject_organisation, verify_organisation
from apps.core import audit
from apps.core.errors import RuleViolation
from apps.core.models import AuditEntry
from apps.core.posts import block, unblock
from apps.core.states import move
from apps.notifications.services import queue
from apps.reports.models import AbuseReport, Measure, ReportState
from apps.reports.subjects import ReportSubject, subject_of

# Of one person within 24 hours: enough for a bad day, too few to bury the desk.
_A_DAY: Final = 20


@transaction.atomic
def file_report(
    subject: ReportSubject, *, by: User, reason: str, note: str, now: dt.datetime | None = None
) -> AbuseReport:
    """Report something to the desk of the accused's region. What was found comes back to `by`.

    Raises `report_own`, `reason_missing`, `reports_too_many`, and `report_open` while `by` waits for a decision on it.
    """
    now = now or timezone.now()
    accused = subject.accused_by(by, reason)
    if not note.strip():
        raise RuleViolation("reason_missing", _("Say what happened."), field="note")
    if AbuseReport.objects.filter(reported_by=by, created_at__gt=now - dt.timedelta(days=1)).count() >= _A_DAY:
        raise RuleViolation("reports_too_many", _("You have reported much today. Call the coordinators instead."))
    try:
        with transaction.atomic():
            report = AbuseReport.objects.create(
                kind=subject.kind, subject_id=subject.pk, accused=accused, reported_by=by, reason=reason,
                note=note.strip(),
            )  # fmt: skip
    except IntegrityError as error:
        raise RuleViolation(
            "report_open", _("You have reported this already; a coordinator is looking at it.")
        ) from error
    audit.record(by, "report.filed", report, kind=subject.kind, subject=subject.pk, reason=reason)
    coordinator = Organisation.objects.coordinating(accused.region).first()
    if coordinator:
        queue("report.filed", coordinator, report.described(), key=f"report.filed:{report.pk}")
    return report


def may_decide(report: AbuseReport, user: User) -> bool:
    """Whether the user decides on it now: a coordinator of the accused who has no part in it."""
    own = {grant.organisation_id for grant in user.grants}
    if not can(user, Permission.COORDINATE, report.accused) or report.accused_id in own:
        return False
    return user.pk not in {report.reported_by_id, report.decided_by_id}


def may_appeal(report: AbuseReport, user: User) -> bool:
    """Whether the user may object to what is decided on it: a manager of the accused itself, and no coordinator."""
    return any(
        grant.organisation_id == report.accused_id and Permission.MANAGE_ORGANISATION in grant.permissions
        for grant in user.grants
    )


def _check_may_decide(report: AbuseReport, user: User) -> None:
    if not may_decide(report, user):
        raise RuleViolation(
            "needs_other_eyes", _("You have a part in this: another coordinator has to decide."), status=403
        )


def _locked(report: AbuseReport, seen: dt.datetime | None) -> AbuseReport:
    """The report as it is now, for the rest of the transaction. Raises `state_changed` if that is not as `seen`."""
    current = AbuseReport.objects.select_for_update(of=["self"]).select_related("accused__region").get(pk=report.pk)
    if seen is not None and current.updated_at != seen:
        raise changed()
    return current


def changed() -> RuleViolation:
    """What somebody is told who decides on what is not so any more."""
    return RuleViolation("state_changed", _("This report has just changed. Read it and try again."))


def _check_reason(decision: str) -> None:
    if not decision.strip():
        raise RuleViolation("reason_missing", _("Say why: both sides read it."), field="decision")


@transaction.atomic
def decide_report(
    report: AbuseReport,
    *,
    by: User,
    measure: str | None,
    decision: str,
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> AbuseReport:
    """Dismiss a report (`measure` None) or uphold it with a measure. Both sides are told, with the reason.

    `seen` is the `updated_at` that the coordinator looked at. Raises `needs_other_eyes`, `reason_missing`,
    `state_changed`, `illegal_move`, and as the verbs that block and suspend do.
    """
    now = now or timezone.now()
    report = _locked(report, seen)
    _check_may_decide(report, by)
    _check_reason(decision)
    was = {}
    if measure == Measure.ORGANISATION:
        was = {"was_verified_until": report.accused.verified_until, "was_called_back": report.accused.call_back}
    move(
        report,
        ReportState.DISMISSED if measure is None else ReportState.UPHELD,
        measure=measure or "",
        decision=decision.strip(),
        decided_by=by,
        decided_at=now,
        **was,
    )
    if measure == Measure.POST:
        post = subject_of(report).post_of(report.accused)
        if post is None:
            raise RuleViolation("nothing_to_block", _("There is no offer or need of theirs to block."), field="measure")
        block(post, now=now)
        audit.record(by, f"{post._meta.model_name}.blocked", post, report=report.pk)
    elif measure == Measure.ORGANISATION:
        reject_organisation(report.accused, by=by, reason=decision)
    audit.record(by, "report.decided", report, state=report.state, measure=report.measure, decision=decision)
    told = _facts(report, to_accused=False)
    queue("report.decided", report.reported_by, told, key=f"report.decided:{report.pk}")
    told = _facts(report, to_accused=True)
    queue("report.decided", report.accused, told, key=f"report.decided:{report.pk}:accused")
    return report


@transaction.atomic
def appeal_report(report: AbuseReport, *, by: User, appeal: str, now: dt.datetime | None = None) -> AbuseReport:
    """The accused objects to a measure, once. Another coordinator decides. Raises `reason_missing`, `illegal_move`."""
    now = now or timezone.now()
    if not appeal.strip():
        raise RuleViolation("reason_missing", _("Say what is wrong with the decision."), field="appeal")
    if not report.can_be_appealed:
        raise RuleViolation("illegal_move", _("There is nothing to appeal against."))
    move(report, ReportState.APPEALED, appeal=appeal.strip(), appealed_at=now)
    audit.record(by, "report.appealed", report)
    # The nearest coordinator may be the one who decided; the next one up has to look, if there is one.
    for coordinator in list(Organisation.objects.coordinating(report.accused.region))[:2]:
        queue("report.appealed", coordinator, report.described(), key=f"report.appealed:{report.pk}")
    return report


@transaction.atomic
def decide_appeal(
    report: AbuseReport,
    *,
    by: User,
    lift: bool,
    decision: str,
    seen: dt.datetime | None = None,
    now: dt.datetime | None = None,
) -> AbuseReport:
    """Confirm a measure, or lift it. Both sides are told, with the reason. Raises as `decide_report` does."""
    now = now or timezone.now()
    report = _locked(report, seen)
    _check_may_decide(report, by)
    _check_reason(decision)
    move(
        report,
        ReportState.LIFTED if lift else ReportState.CONFIRMED,
        appeal_decision=decision.strip(),
        appeal_decided_by=by,
        appeal_decided_at=now,
    )
    if lift and report.measure == Measure.POST:
        post = subject_of(report).post_of(report.accused)
        # Another report may have blocked it, too.
        if post is not None and not _is_blocked_by_another(report):
            unblock(post)
            audit.record(by, f"{post._meta.model_name}.unblocked", post, report=report.pk)
    elif lift and _can_wake(report):
        until, call_back = report.was_verified_until, report.was_called_back
        verify_organisation(report.accused, by=by, until=until, call_back=call_back, now=now)
    audit.record(by, "report.appeal_decided", report, state=report.state, decision=decision)
    told = _facts(report, to_accused=False)
    queue("report.appeal_decided", report.reported_by, told, key=f"report.appeal_decided:{report.pk}")
    told = _facts(report, to_accused=True)
    queue("report.appeal_decided", report.accused, told, key=f"report.appeal_decided:{report.pk}:accused")
    return report


def _can_wake(report: AbuseReport) -> bool:
    """Whether the old verification still holds: it was there, has not run out, and its facts are the same."""
    if report.accused.state != OrganisationState.REJECTED or report.was_verified_until is None:
        return False
    entries = AuditEntry.objects.filter(target_type="accounts.organisation", target_id=str(report.accused_id))
    return not entries.filter(event="organisation.amended", at__gt=report.decided_at).exists()


def _is_blocked_by_another(report: AbuseReport) -> bool:
    post = subject_of(report).post_of(report.accused)
    others = AbuseReport.objects.filter(
        accused=report.accused,
        measure=Measure.POST,
        state__in=[ReportState.UPHELD, ReportState.APPEALED, ReportState.CONFIRMED],
    ).exclude(pk=report.pk)
    return any(subject_of(other).post_of(report.accused) == post for other in others)


def _facts(report: AbuseReport, *, to_accused: bool) -> dict[str, Any]:
    """What both sides are told of a decision; the words depend on to whom they go."""
    return {
        **report.described(),
        "state": report.state,
        "measure": report.measure,
        "decision": report.appeal_decision or report.decision,
        "to_accused": to_accused,
    }
