"""The mail that was caught, as pages for a developer."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.ops.serving.callers import is_from_this_machine


def _mail_directory(request: HttpRequest) -> Path:
    if settings.PRODUCTION or not settings.EMAIL_IS_CAUGHT or not is_from_this_machine(request):
        raise Http404
    directory: Path = settings.VAR_DIR / "mail"
    return directory


@require_safe
@never_cache
@login_not_required
def caught_mails(request: HttpRequest) -> HttpResponse:
    files = sorted(_mail_directory(request).glob("*.eml"), reverse=True)[:100]
    return render(request, "local/mails.html", {"mails": [(file.name, _parse(file)) for file in files]})


@require_safe
@never_cache
@login_not_required
def caught_mail(request: HttpRequest, name: str) -> HttpResponseBase:
    """One mail's text, or with `?raw` the whole of it."""
    # `.name` drops every folder, so no address leads out of the directory.
    file = _mail_directory(request) / Path(name).name
    if file.suffix != ".eml" or not file.is_file():
        raise Http404
    if "raw" in request.GET:
        return FileResponse(file.open("rb"), content_type="message/rfc822")

    mail = _parse(file)
    body = mail.get_body(("plain", "html"))
    return render(
        request, "local/mail.html", {"name": file.name, "mail": mail, "body": body.get_content() if body else ""}
    )


def _parse(file: Path) -> EmailMessage:
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    if not isinstance(mail, EmailMessage):
        raise TypeError
    return mail
