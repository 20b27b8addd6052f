"""How long a session lasts: until it was idle for too long, is too old, or its user logged out everywhere."""

import datetime as dt
import re
import time
from typing import Any, Final

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.core.retention import delete_in_batches

# In seconds. A page that loads many others would otherwise write its session for each.
NOTED_EVERY: Final = 60

# What a browser says of itself; the first that fits. Many also name those further down.
_BROWSERS: Final = {
    "MicroMessenger": "WeChat",
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS: Final = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS X": "macOS",
    "Linux": "Linux",
}


def begin(request: HttpRequest, **_kwargs: object) -> None:
    """Start the clocks of a session at its log-in."""
    request.session["started_at"] = request.session["seen_at"] = time.time()


def renew_key(request: HttpRequest, *, reauthenticated: bool = False, **_kwargs: object) -> None:
    """Give the session a new key when its user proves again who they are. Who learned the old key is left behind."""
    if not reauthenticated:
        return  # a log-in, for which Django does the same
    known = request.session.session_key
    request.session.cycle_key()
    UserSession.objects.filter(session_key=known).update(session_key=request.session.session_key)


def is_over(session: Any, user: User, now: float) -> bool:
    """Whether this session of `user` has ended. `now` is in seconds since 1970, as all times in a session."""
    started_at, seen_at = session.get("started_at"), session.get("seen_at")
    if started_at is None or seen_at is None:
        return True  # of a version without clocks: nobody knows how old it is
    if user.access_ended_at is not None and started_at <= user.access_ended_at.timestamp():
        return True

    shared = session.get("shared", False)
    idle = settings.SHARED_SESSION_IDLE_MINUTES if shared else settings.SESSION_IDLE_MINUTES
    longest = settings.SHARED_SESSION_HOURS if shared else settings.SESSION_HOURS
    return bool(now - seen_at > idle * 60 or now - started_at > longest * 3600)


def goes_on(request: HttpRequest) -> bool:
    """Log out of a session that is over, and return False; note at most once a minute that another is in use."""
    user, now = request.user, time.time()
    assert isinstance(user, User)
    if is_over(request.session, user, now):
        logout(request)
        return False
    if now - request.session["seen_at"] > NOTED_EVERY:
        request.session["seen_at"] = now
        UserSession.objects.create_from_request(request)
    return True


def forget_ended(*, now: dt.datetime | None = None) -> int:
    """Delete sessions that have run out, and what was noted of their browsers. Returns how many sessions."""
    now = now or timezone.now()
    deleted = delete_in_batches(Session.objects.filter(expire_date__lt=now).order_by("expire_date"))
    # Those who logged out, too: their session is gone at once. A new session may be noted before it is saved.
    noted = UserSession.objects.filter(last_seen_at__lt=now - dt.timedelta(days=1))
    # Each batch asks for all sessions, so it is a large one.
    delete_in_batches(noted.exclude(session_key__in=Session.objects.values("pk")).order_by("pk"), batch=10_000)
    return deleted


def browser_of(user_agent: str) -> str:
    """A browser and its system in words, e.g. “Firefox, Windows”."""
    found = [
        next((words for name, words in known.items() if re.search(rf"\b{name}", user_agent)), "")
        for known in (_BROWSERS, _SYSTEMS)
    ]
    return ", ".join(one for one in found if one) or user_agent[:40]
