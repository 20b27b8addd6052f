"""Reports of abuse: filing one, following one's own, and objecting to a measure."""

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.permissions import Permission, can
from apps.core.errors import RuleViolation
from apps.portal.forms.reports import AppealForm, ReportForm
from apps.portal.paging import newest_first
from apps.portal.web import blame, done, status_of, user_of
from apps.reports import services
from apps.reports.models import AbuseReport
from apps.reports.subjects import subject_for, subject_of


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """Report something that the person sees."""
    user = user_of(request)
    subject = subject_for(user, kind, pk)
    if subject is None:
        raise Http404
    form = ReportForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            report = services.file_report(subject, by=user, **form.cleaned_data)
        except RuleViolation as violation:
            blame(form, violation)
        else:
            return done(request, "report", _("Reported. A coordinator looks at it."), report.pk)
    context = {"form": form, "subject": subject}
    return render(request, "portal/reports/new.html", context, status=status_of(form))


@login_required
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    """What one has reported, and what was decided about one's organisations."""
    rows = AbuseReport.objects.concerning(user_of(request)).select_related("accused")
    return render(request, "portal/reports/reports.html", {"page": newest_first(request, rows)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One report as its side sees it; a manager of the accused can object here."""
    user = user_of(request)
    report = get_object_or_404(AbuseReport.objects.concerning(user).select_related("accused__region"), pk=pk)
    may_appeal = report.can_be_appealed and services.may_appeal(report, user)
    form = AppealForm(request.POST or None) if may_appeal else None
    if request.method == "POST" and form is None:
        raise Http404
    if request.method == "POST" and form is not None and form.is_valid():
        try:
            services.appeal_report(report, by=user, **form.cleaned_data)
        except RuleViolation as violation:
            blame(form, violation)
        else:
            return done(request, "report", _("Sent. Another coordinator decides anew."), report.pk)
    context = {
        "report": report,
        "subject": subject_of(report),
        "is_mine": report.reported_by_id == user.pk,
        "coordinates": can(user, Permission.COORDINATE, report.accused),
        "form": form,
    }
    return render(request, "portal/reports/report.html", context, status=status_of(form))


urlpatterns = [
    path("reports/", listing, name="reports"),
    path("reports/<int:pk>/", detail, name="report"),
    path("reports/new/<slug:kind>/<int:pk>/", new, name="report-new"),
]
