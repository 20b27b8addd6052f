"""The policy on the desk: its versions, a draft of the next, what it would have changed, and putting it into force.

Every coordinator may read it; coordinators of a whole country set it.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.permissions import Permission, can
from apps.core.errors import RuleViolation
from apps.matching.models import Replay, ReplayedNeed
from apps.matching.simulation import previews
from apps.matching.tasks import replay_drafts
from apps.notifications.tasks import wake
from apps.policy import services
from apps.policy.models import BUILT_IN, DraftState, Policy, PolicyDraft
from apps.policy.values import PolicyValues
from apps.policy.wording import doubts
from apps.portal import kept, policies, replays
from apps.portal.forms.policy import EnforceForm, PhaseFormSet, PolicyDraftForm, phase_rows
from apps.portal.forms.seen import look_again, seeing
from apps.portal.paging import Slice, newest_first
from apps.portal.views.desk.charge import coordinator
from apps.portal.web import blame, done, refused, status_of, user_of

_DRAFTS_SHOWN: Final = 10


def author(request: HttpRequest) -> User:
    user = user_of(request)
    if not can(user, Permission.SET_POLICY):
        raise Http404
    return user


def _version(number: int) -> Policy:
    """The version of this number; the one that is built in is no row."""
    if number == BUILT_IN:
        return Policy.objects.filter(version=BUILT_IN).first() or Policy(version=BUILT_IN)
    return get_object_or_404(Policy.objects.select_related("made_by"), version=number)


# --- Versions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """A version, and in words what it changed."""

    policy: Policy
    changes: list[str]


@login_required
@require_GET
def versions(request: HttpRequest) -> HttpResponse:
    """The policy in force in full, and how it came to be."""
    user = coordinator(request)
    page = newest_first(request, Policy.objects.select_related("made_by"))
    current = Policy.objects.current()
    context = {
        "policy": current,
        "sections": policies.sections(current.values),
        "page": page,
        "history": _history(page),
        "drafts": PolicyDraft.objects.visible_to(user).open().select_related("made_by").order_by("-pk")[:_DRAFTS_SHOWN],
        "may_set": can(user, Permission.SET_POLICY),
    }
    return render(request, "portal/desk/policy/versions.html", context)


def _history(page: Slice[Policy]) -> list[Change]:
    """Each version of the page with what it changed against the one before."""
    rows = page.rows
    if not rows:
        return []
    before = Policy.objects.filter(version__lt=rows[-1].version).order_by("-version").first()
    older = [*rows[1:], before or Policy(version=BUILT_IN)]
    return [Change(row, policies.changes(was.values, row.values)) for row, was in zip(rows, older, strict=True)]


@login_required
@require_GET
def version(request: HttpRequest, number: int) -> HttpResponse:
    """One version in full: matches name the one that they were made under."""
    user = coordinator(request)
    policy = _version(number)
    current = Policy.objects.current()
    context = {
        "policy": policy,
        "sections": policies.sections(policy.values),
        "is_current": policy.version == current.version,
        "changes": policies.changes(current.values, policy.values),
        "may_set": can(user, Permission.SET_POLICY),
    }
    return render(request, "portal/desk/policy/version.html", context)


@login_required
@require_POST
def restore(request: HttpRequest, number: int) -> HttpResponse:
    """Draft an earlier version anew."""
    user = author(request)
    try:
        draft = services.restore_policy(_version(number), by=user)
    except RuleViolation as violation:
        return refused(request, violation, "policy-version", number)
    return done(request, "policy-draft", _("This is a draft. Preview it, then put it into force."), draft.pk)


# --- Drafts -----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@kept.over_login
def new(request: HttpRequest) -> HttpResponse:
    """A draft from the policy in force; `?draft=` begins with what another draft changes, on top of it."""
    user = author(request)
    current = Policy.objects.current()
    values = current.values
    named = request.GET.get("draft", "")
    if named.isascii() and named.isdigit() and len(named) < 19:
        draft = get_object_or_404(PolicyDraft.objects.visible_to(user), pk=int(named))
        values = _on(draft, current)
    return _form(request, user, values, based_on=current.version)


@require_http_methods(["GET", "HEAD", "POST"])
@kept.over_login
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    user = author(request)
    draft = get_object_or_404(PolicyDraft.objects.visible_to(user), pk=pk)
    if draft.state != DraftState.OPEN:
        violation = RuleViolation("illegal_move", _("This draft is not open any more."))
        return refused(request, violation, "policy-draft", pk)
    return _form(request, user, draft.values, based_on=draft.based_on, draft=draft)


def _form(
    request: HttpRequest, user: User, values: PolicyValues, *, based_on: int, draft: PolicyDraft | None = None
) -> HttpResponse:
    is_sent = request.method == "POST"
    data = request.POST if is_sent else kept.take(request)
    initial = {"based_on": based_on, "seen": seeing(draft.updated_at) if draft else ""}
    form = PolicyDraftForm(data, values=values, initial=initial)
    overtaken_by: list[str] = []
    phases = PhaseFormSet(data, prefix="phases", initial=phase_rows(values))
    if is_sent and form.is_valid() & phases.is_valid():
        settings = {**form.settings, "phases": phases.phases()}
        try:
            if draft is None:
                # What the form was opened on: nobody has to look whether that is still the newest before typing on.
                opened_on = min(form.cleaned_data["based_on"], based_on)
                draft = services.draft_policy(settings, based_on=opened_on, by=user)
            else:
                draft = services.amend_draft(draft, settings, by=user, seen=form.cleaned_data["seen"])
        except RuleViolation as violation:
            blame(form, violation)
            if draft is not None and violation.code == "state_changed":
                draft = PolicyDraft.objects.get(pk=draft.pk)
                look_again(form, draft.updated_at)
                overtaken_by = policies.changes(draft.values, PolicyValues.from_json(settings))
        else:
            return done(request, "policy-draft", _("The draft is kept. Nothing is in force yet."), draft.pk)
    context = {
        "form": form,
        "phases": phases,
        "based_on": based_on,
        "draft": draft,
        "sections": form.sections(),
        "overtaken_by": overtaken_by,
    }
    faulty = is_sent and not (form.is_valid() and phases.is_valid())
    return render(request, "portal/desk/policy/form.html", context, status=400 if faulty else 200)


@login_required
@require_GET
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    user = coordinator(request)
    subject = _draft(user, pk)
    return _draft_page(request, user, subject, EnforceForm(initial={"seen": seeing(subject.updated_at)}))


def _on(draft: PolicyDraft, current: Policy) -> PolicyValues:
    """What the draft says; one of an older version, what it changes, made to the one in force."""
    if draft.based_on == current.version:
        return draft.values
    return draft.values.rebased(_version(draft.based_on).values, current.values)


def _draft(user: User, pk: int) -> PolicyDraft:
    return get_object_or_404(PolicyDraft.objects.visible_to(user).select_related("made_by"), pk=pk)


def _draft_page(request: HttpRequest, user: User, draft: PolicyDraft, form: EnforceForm) -> HttpResponse:
    """What the draft changes, what it would have changed, and the way into force."""
    current = Policy.objects.current()
    replay = draft.replays.order_by("-pk").first()
    values = _on(draft, current) if draft.state == DraftState.OPEN else draft.values
    context: dict[str, Any] = {
        "draft": draft,
        "current": current,
        "changes": policies.changes(current.values, values),
        "doubts": doubts(values),
        "is_open": draft.state == DraftState.OPEN,
        "is_outdated": draft.state == DraftState.OPEN and draft.based_on != current.version,
        "replay": replay,
        "may_set": can(user, Permission.SET_POLICY),
        "form": form,
    }
    if replay is not None:
        context |= {
            "is_of_now": replay.settings == draft.settings and replay.policy_version == current.version,
            "sums": replays.sums(replay, user),
            **_needs(request, replay, user),
        }
    return render(request, "portal/desk/policy/draft.html", context, status=status_of(form))


def _needs(request: HttpRequest, replay: Replay, user: User) -> dict[str, Any]:
    """A page of the needs that would have been served otherwise, as far as the user may see them."""
    rows = replay.replayed.visible_to(user).select_related(
        "demand__organisation", "demand__item__unit", "demand__region"
    )
    page: Slice[ReplayedNeed] = newest_first(request, rows)
    return {"page": page, "lines": replays.lines(page.rows, user), "differing": rows.count()}


@login_required
@require_POST
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    user = author(request)
    try:
        previews.request_replay(_draft(user, pk), by=user)
    except RuleViolation as violation:
        return refused(request, violation, "policy-draft", pk)
    wake(replay_drafts)
    return done(request, "policy-draft", _("The last days are being replayed. Load the page again in a moment."), pk)


@login_required
@require_POST
def enforce(request: HttpRequest, pk: int) -> HttpResponse:
    user = author(request)
    draft, form = _draft(user, pk), EnforceForm(request.POST)
    if not form.is_valid():
        return _draft_page(request, user, draft, form)
    try:
        policy = services.put_into_force(draft, by=user, **form.cleaned_data)
    except RuleViolation as violation:
        if violation.code == "state_changed":
            blame(form, violation)
            draft = _draft(user, pk)
            look_again(form, draft.updated_at)
            return _draft_page(request, user, draft, form)
        return refused(request, violation, "policy-draft", pk)
    return done(request, "policy", _("Version %(version)s is in force.") % {"version": policy.version})


@login_required
@require_POST
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    user = author(request)
    try:
        services.discard_draft(_draft(user, pk), by=user)
    except RuleViolation as violation:
        return refused(request, violation, "policy-draft", pk)
    return redirect("policy")


urlpatterns = [
    path("desk/policy/", versions, name="policy"),
    path("desk/policy/new/", new, name="policy-new"),
    path("desk/policy/versions/<int:number>/", version, name="policy-version"),
    path("desk/policy/versions/<int:number>/restore/", restore, name="policy-restore"),
    path("desk/policy/drafts/<int:pk>/", draft, name="policy-draft"),
    path("desk/policy/drafts/<int:pk>/edit/", edit, name="policy-edit"),
    path("desk/policy/drafts/<int:pk>/preview/", preview, name="policy-preview"),
    path("desk/policy/drafts/<int:pk>/enforce/", enforce, name="policy-enforce"),
    path("desk/policy/drafts/<int:pk>/discard/", discard, name="policy-discard"),
]
