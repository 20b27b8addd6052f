"""Renders an event as text: `templates/notifications/<event>.txt`, in the reader's language and time zone.

One file per event holds three blocks: `subject` (also the line in the portal's inbox, and the text message), `path`
(the page that it is about) and `body`. The body is rendered once as text and once as HTML. In HTML everything that
people wrote is escaped. Blank lines make paragraphs in both.
"""

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.template import Context, Engine
from django.utils import timezone, translation
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.models import User
from apps.notifications.models import Message, Notification

DIRECTORY: Final = Path(settings.BASE_DIR) / "templates" / "notifications"
# In characters: one text message in Latin letters.
SUBJECT_LENGTH: Final = 160
_LANGUAGES: Final = frozenset(code for code, _name in settings.LANGUAGES)
# JSON has no times: facts with these endings are parsed as such.
_TIME_NAMES: Final = ("_at", "_by", "_on", "_until")


@dataclass(frozen=True)
class Mail:
    subject: str
    text: str
    html: str


@cache
def engine(missing: str = "") -> Engine:
    """The templates of messages; a test sets `missing` to find facts that are not in the context."""
    # An engine of its own: without the context processors of pages, which need a request.
    return Engine(
        dirs=[str(DIRECTORY)],
        builtins=["django.templatetags.i18n", "apps.notifications.wording"],
        string_if_invalid=missing,
    )


@cache
def events() -> tuple[str, ...]:
    """The name of every event that people are told."""
    # Events have a dot in their names (`match.proposed`), and the layouts of all messages have none.
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.*.txt")))


def render_inbox(notification: Notification, language: str) -> tuple[str, str]:
    """The line for the portal's inbox, and the path of the page that it is about."""
    facts = _Facts(notification.event, notification.context, language, notification.user)
    return facts.subject, facts.path


def render_mail(message: Message) -> Mail:
    facts = _Facts(message.event, message.context, message.language, message.user, message)
    return Mail(facts.subject, facts.text(), facts.html())


def render_sms(message: Message) -> str:
    """The subject and the address of the page. One-click links are too long for a text message."""
    facts = _Facts(message.event, message.context, message.language, message.user, message)
    return f"{facts.subject} {settings.SITE_URL}{facts.path}"


class _Facts:
    """The facts of one event, for one reader."""

    def __init__(
        self, event: str, context: Mapping[str, Any], language: str, user: User | None, message: Message | None = None
    ) -> None:
        self.template = engine().get_template(f"{event}.txt")
        self.language = language if language in _LANGUAGES else settings.LANGUAGE_CODE
        self.zone = _zone(user)
        self.facts = {**resolve(context, self.language), "user": user, "message": message}

    @cached_property
    def subject(self) -> str:
        """The subject on one line. A line break in it could begin another header of the mail (header injection)."""
        subject = " ".join(self._render("subject").split())
        return subject if len(subject) <= SUBJECT_LENGTH else f"{subject[: SUBJECT_LENGTH - 1]}…"

    @cached_property
    def path(self) -> str:
        return self._render("path").strip()

    def text(self) -> str:
        return self._layout("layout.txt", _tidy(self._render("body")))

    def html(self) -> str:
        paragraphs = _tidy(self._render("body", html=True)).split("\n\n")
        # The engine has escaped every fact already.
        body = format_html_join(
            "\n", "<p>{}</p>", ((SafeString(one.replace("\n", "<br>\n")),) for one in paragraphs if one)
        )
        return self._layout("layout.html", body, html=True)

    def _layout(self, name: str, body: str, *, html: bool = False) -> str:
        facts = {"subject": self.subject, "body": body, "page": f"{settings.SITE_URL}{self.path}"}
        with translation.override(self.language):
            rendered = (
                engine()
                .get_template(name)
                .render(Context({**facts, "html": html, "language": self.language}, autoescape=html))
            )
        return rendered if html else f"{_tidy(rendered)}\n"

    def _render(self, part: str, *, html: bool = False) -> str:
        with translation.override(self.language), timezone.override(self.zone):
            return self.template.render(Context({**self.facts, "part": part, "html": html}, autoescape=html))


def resolve(value: Any, language: str, name: str = "") -> Any:
    """Facts as templates need them: texts in one language and on one line, and ISO times parsed.

    A time is known by its name, which ends in `_at`, `_by`, `_on` or `_until`.
    """
    if isinstance(value, Mapping):
        # A dict whose keys are all languages is one text in several languages. Without the reader's, any is better than
        # none.
        if value and set(value) <= _LANGUAGES:
            texts = [value.get(language), value.get(settings.LANGUAGE_CODE), *value.values()]
            return resolve(next((text for text in texts if text), ""), language)
        return {key: resolve(one, language, key) for key, one in value.items()}
    if isinstance(value, list):
        return [resolve(one, language) for one in value]
    if not isinstance(value, str):
        return value
    if name.endswith(_TIME_NAMES):
        return _time(value) or value
    # On one line: a line break that somebody typed could imitate a line of ours.
    return " ".join(value.split())


def _time(value: str) -> dt.date | None:
    try:
        moment = parse_datetime(value) if "T" in value else parse_date(value)
    except ValueError:
        return None
    return (
        timezone.make_aware(moment, dt.UTC) if isinstance(moment, dt.datetime) and timezone.is_naive(moment) else moment
    )


def _zone(user: User | None) -> zoneinfo.ZoneInfo:
    # The user's zone may be unknown to this machine's tz database; the default then, and UTC as a last resort.
    names = [user.time_zone] if user else []
    for name in [*names, User._meta.get_field("time_zone").default]:
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            continue
    return zoneinfo.ZoneInfo("UTC")


def _tidy(text: str) -> str:
    """Reduce blank lines, which tags without output leave behind, to one between paragraphs and none at the ends."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]*\n[ \t]*", "\n", text)).strip()
