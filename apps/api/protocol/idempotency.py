"""POSTs that can be repeated: same key and same body, same answer; same key and another body, 409.

The key's row is inserted in the transaction of the action. Of two requests at once, the second therefore waits on the
unique index until the first is done, and then finds its answer. A request that failed has changed nothing and keeps no
key: it may be corrected and sent again. The header follows the IETF draft "The Idempotency-Key HTTP Header Field".
"""

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import ApiToken, User
from apps.api.models import IdempotencyKey
from apps.core.errors import RuleViolation
from apps.core.retention import delete_in_batches

# Longer than a client tries again by itself, also over a night without a network.
KEPT_FOR: Final = dt.timedelta(hours=48)


class ReplayedError(Exception):
    """This request was answered before; `record` has that answer."""

    def __init__(self, record: IdempotencyKey) -> None:
        super().__init__(record.key)
        self.record = record

    def answer(self, complete: Callable[[dict[str, Any]], None]) -> HttpResponse:
        """The kept answer. `complete` fills in what is looked up anew, if the answer is one row."""
        row = json.loads(self.record.body or "null")
        if isinstance(row, dict):
            complete(row)
        body = b"" if row is None else JSONRenderer().render(row)
        response = HttpResponse(body, status=self.record.status, content_type="application/json")
        response["Idempotent-Replayed"] = "true"
        return response


def claim(request: Request) -> IdempotencyKey | None:
    """The row of this request's key, new and locked until the transaction ends; None without the header.

    Raises `ReplayedError` if the key has an answer, `RuleViolation` (`idempotency_key_reused`) if that was the answer
    to another request, and `ParseError` for a malformed key.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None or request.method != "POST":
        return None
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise exceptions.ParseError(_("An Idempotency-Key is 1 to 255 printable ASCII characters."))

    assert isinstance(request.user, User)
    wanted = IdempotencyKey(user=request.user, key=key, fingerprint=_fingerprint(request))
    while True:
        # ON CONFLICT DO NOTHING: it waits for another transaction with this key, and a conflict is no error, which
        # would break our transaction.
        IdempotencyKey.objects.bulk_create([wanted], ignore_conflicts=True)
        record = IdempotencyKey.objects.filter(user=request.user, key=key).first()
        if record is not None:
            break  # otherwise `forget_old` deleted it between the two statements
    # Only our own transaction can see a row without an answer.
    if record.status is None:
        return record
    if record.fingerprint != wanted.fingerprint:
        raise RuleViolation("idempotency_key_reused", _("This Idempotency-Key was used for another request."))
    raise ReplayedError(record)


def keep(record: IdempotencyKey, response: Response, *, hide: tuple[str, ...] = ()) -> None:
    """Store the answer with its key. Members named in `hide`, such as a secret, are stored nowhere."""
    data = response.data
    if hide and isinstance(data, dict):
        data = {name: value for name, value in data.items() if name not in hide}
        record.body = json.dumps(data, ensure_ascii=False, default=str)
    else:
        record.body = response.rendered_content.decode()
    record.status = response.status_code
    record.save(update_fields=["status", "body"])


def forget_old(*, now: dt.datetime | None = None) -> int:
    """Delete the keys that are older than `KEPT_FOR`; returns how many."""
    old = IdempotencyKey.objects.filter(created_at__lt=(now or timezone.now()) - KEPT_FOR)
    return delete_in_batches(old.order_by("created_at"))


def _fingerprint(request: Request) -> str:
    """A digest of method, address, rights of the caller, and content. White space and order of members do not count."""
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode("utf-8", "replace"))
    if isinstance(request.auth, ApiToken):
        # An answer is kept as it was shown: another token of the same person may see less.
        digest.update(f"{sorted(request.auth.scopes)} {request.auth.region_id}\n".encode())
    if request.FILES:
        for name, file in sorted(request.FILES.items()):
            digest.update(f"{name}\n".encode("utf-8", "replace"))
            for chunk in file.chunks():
                digest.update(chunk)
            file.seek(0)  # the view reads it again
    content: Any = request.data if not request.FILES else dict(request.POST.lists())
    digest.update(json.dumps(content, sort_keys=True, default=str).encode())
    return digest.hexdigest()
