"""Forgetting a person: the account is closed, and what was told to them goes too."""

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower

from apps.accounts.closing import addresses_of, close_account
from apps.accounts.models import User
from apps.notifications.models import Channel, Message, Notification, UsedLink


@transaction.atomic
def forget(user: User, *, by: User | None) -> dict[str, int]:
    """Close the account, and delete messages and notifications for the person. Returns how many of each."""
    addresses = Q(channel=Channel.EMAIL, lower_address__in=addresses_of(user))
    if user.phone:
        addresses |= Q(channel=Channel.SMS, address=user.phone)
    close_account(user, by=by)
    messages, _by_model = (
        Message.objects.alias(lower_address=Lower("address")).filter(addresses | Q(user=user)).delete()
    )
    notifications, _by_model = Notification.objects.filter(user=user).delete()
    UsedLink.objects.filter(user=user).update(user=None)
    return {"messages": messages, "notifications": notifications}
