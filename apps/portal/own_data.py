"""What is known of a person, for that person: rows that name them, and no facts of others."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db.models import Q, QuerySet
from django.forms.models import model_to_dict

from apps.accounts.models import ApiToken, Invitation, User
from apps.core.models import AuditEntry
from apps.notifications.models import Message, Notification


def own_data(user: User) -> dict[str, Any]:
    """All rows about the person, by kind. Secrets, which only prove who somebody is, are left out.

    Entries of the audit trail come without their details, which may tell of others.
    """
    about = Q(actor=user) | Q(target_type=user._meta.label_lower, target_id=str(user.pk))
    invited = Invitation.objects.filter(email=user.email.lower()) if user.has_confirmed_address else []
    return {
        "account": model_to_dict(
            user, ["id", "email", "name", "phone", "language", "time_zone", "is_staff", "is_active"]
        )
        | {"date_joined": user.date_joined, "last_login": user.last_login},
        "addresses": _rows(EmailAddress.objects.filter(user=user), "email", "verified", "primary"),
        "organisations": [
            {"organisation": grant.organisation.name, "role": grant.role, "since": grant.created_at}
            for grant in user.grants
        ],
        "invitations": [
            {"organisation": one.organisation.name, "role": one.role, "state": one.state, "sent_at": one.sent_at}
            for one in invited
        ],
        "second_factors": _rows(Authenticator.objects.filter(user=user), "type", "created_at", "last_used_at"),
        "sessions": _rows(UserSession.objects.filter(user=user), "ip", "user_agent", "created_at", "last_seen_at"),
        "tokens": _rows(
            ApiToken.objects.filter(user=user), "name", "scopes", "region_id", "created", "expiry", "last_used_at"
        ),
        "notifications": _rows(Notification.objects.filter(user=user), "event", "context", "created_at", "read_at"),
        "messages": _rows(
            Message.objects.filter(user=user), "event", "channel", "address", "context", "created_at", "sent_at"
        ),
        "audit_trail": _rows(AuditEntry.objects.filter(about), "at", "event", "target_type", "target_id"),
    }


def _rows(rows: QuerySet[Any, Any], *columns: str) -> list[dict[str, Any]]:
    return list(rows.order_by("pk").values(*columns))
