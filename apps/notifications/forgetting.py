"""Forgetting a person: the account is closed, and what was told to them goes too."""

from django.db import transaction
from django.db.models import Q

from apps.accounts.closing import close_account
from apps.accounts.models import User
from apps.notifications.models import Channel, Message, Notification, UsedLink


@transaction.atomic
def forget(user: User, *, by: User | None) -> dict[str, int]:
    """Close the account, and delete messages and notifications for the person. Returns how many of each."""
    addresses = Q(channel=Channel.EMAIL, address__iexact=user.email)
    if user.phone:
        addresses |= Q(channel=Channel.SMS, address=user.phone)
    close_account(user, by=by)
    messages, _by_model = Message.objects.filter(addresses | Q(user=user)).delete()
    notifications, _by_model = Notification.objects.filter(user=user).delete()
    UsedLink.objects.filter(user=user).update(user=None)
    return {"messages": messages, "notifications": notifications}
