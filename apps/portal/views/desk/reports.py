"""A report of abuse at the desk: what it is about, and the decision, or that on the appeal."""

from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from apps.accounts.models import User
from apps.core.errors import RuleViolation
from apps.portal.forms.reports import AppealDecisionForm, DecideForm
from apps.portal.forms.seen import seeing
from apps.portal.views.desk.charge import coordinator
from apps.portal.web import blame, done, refused, status_of
from apps.reports import services
from apps.reports.models import AbuseReport, ReportState
from apps.reports.subjects import ReportSubject, subject_of


def _form(request: HttpRequest, report: AbuseReport, subject: ReportSubject, user: User) -> Form | None:
    """What this coordinator can decide now, if anything."""
    if not report.is_waiting or not services.may_decide(report, user):
        return None
    typed, shown = request.POST or None, {"seen": seeing(report.updated_at)}
    if report.state == ReportState.APPEALED:
        return AppealDecisionForm(typed, initial=shown)
    return DecideForm(
        typed,
        initial=shown,
        can_block=subject.post_of(report.accused) is not None,
        can_suspend=report.accused.can_be_rejected,
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    reports = AbuseReport.objects.at_desk_of(user).select_related("accused__region", "reported_by", "decided_by")
    report = get_object_or_404(reports, pk=pk)
    subject = subject_of(report)
    form = _form(request, report, subject, user)
    if request.method == "POST" and form is None:
        return refused(request, services.changed(), "desk-report", pk)
    if form is not None and form.is_valid():
        decide = services.decide_appeal if report.state == ReportState.APPEALED else services.decide_report
        try:
            decide(report, by=user, **form.cleaned_data)
        except RuleViolation as violation:
            if violation.code == "state_changed":
                # Somebody decided in the same moment. What was typed may not fit what is to be decided now.
                return refused(request, violation, "desk-report", pk)
            blame(form, violation)
        else:
            return done(request, "desk-report", _("Decided. Both sides are told."), report.pk)
    context = {
        "report": report,
        "subject": subject,
        "form": form,
        "others": AbuseReport.objects.filter(accused=report.accused).exclude(pk=report.pk).order_by("-pk")[:10],
    }
    return render(request, "portal/desk/report.html", context, status=status_of(form))
