"""What people must be told. This app is below the outbox, which takes from here what it then sends."""

from collections.abc import Mapping
from typing import Any

from django.db.models import F

from apps.accounts.models import Language, Organisation, PendingNotice, User


def tell(
    event: str,
    recipient: Organisation | User | str,
    context: Mapping[str, Any],
    *,
    key: str,
    language: str = Language.ENGLISH,
) -> None:
    """Leave word for the outbox, in the transaction of the caller: `recipient` is told of `event` within seconds.

    A recipient that is a text is an e-mail address, which may belong to nobody here; `language` is for it alone.
    """
    PendingNotice.objects.create(
        event=event,
        key=key,
        context=dict(context),
        organisation=recipient if isinstance(recipient, Organisation) else None,
        user=recipient if isinstance(recipient, User) else None,
        email=recipient if isinstance(recipient, str) else "",
        language=language if isinstance(recipient, str) else "",
    )


def take_pending_notices(limit: int = 200) -> list[PendingNotice]:
    """Take what is to be told, oldest first, in the transaction of the caller, which tells it.

    Rows that another worker has taken are skipped.
    """
    # Deleted on taking: the transaction of the caller either writes the message or brings the row back.
    due = PendingNotice.objects.select_related("organisation", "user").order_by("pk")
    notices = list(due.select_for_update(of=["self"], skip_locked=True)[:limit])
    PendingNotice.objects.filter(pk__in=[notice.pk for notice in notices]).delete()
    return notices


def take_unannounced(limit: int = 200) -> list[Organisation]:
    """Take organisations whose people must be told of a new state, in the transaction of the caller, which tells them.

    Rows that another worker has taken are skipped.
    """
    due = Organisation.objects.unannounced().select_related("region").order_by("pk")
    organisations = list(due.select_for_update(of=["self"], skip_locked=True, no_key=True)[:limit])
    if organisations:
        Organisation.objects.filter(pk__in=[one.pk for one in organisations]).update(announced_state=F("state"))
    return organisations
