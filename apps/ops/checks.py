"""What is wrong with these settings for a deployment: `manage.py check --deploy`.

A bad value of one variable is refused when it is read (cosmomatch/settings.py). The checks here compare several.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name


@register(Tags.security, deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    return [*_identity(), *_servers(), *_connections(), *_messages()]


def _identity() -> Iterator[CheckMessage]:
    if not settings.PRODUCTION:
        yield Error(
            "These are the settings of a developer's machine.", hint="Set ENVIRONMENT=production.", id="ops.E001"
        )
    if not settings.HTTPS:
        yield Error(
            "The public address is not HTTPS: passwords and one-click links would be readable on the way.",
            hint="Set SITE_URL to an address that begins with https://.",
            id="ops.E002",
        )
    if settings.SITE_HOST not in settings.ALLOWED_HOSTS:
        yield Error(
            "The host of SITE_URL is not among ALLOWED_HOSTS: every page would answer 400.",
            hint="Leave ALLOWED_HOSTS out, or add the host to it.",
            id="ops.E003",
        )
    if any("*" in host for host in settings.ALLOWED_HOSTS):
        yield Error(
            "ALLOWED_HOSTS lets any host through, so links in mails can be forged.",
            hint="Name the hosts of this deployment.",
            id="ops.E004",
        )


def _servers() -> Iterator[CheckMessage]:
    if not settings.DATABASE_IS_NAMED:
        yield Error(
            "There is no database but the embedded one, which ends with the process that started it.",
            hint="Set DATABASE_URL, or DATABASE_URL_FILE.",
            id="ops.E005",
        )
    if not settings.REDIS_IS_NAMED:
        yield Error(
            "There is no Redis but the embedded one, which ends with the process that started it.",
            hint="Set REDIS_URL, or REDIS_URL_FILE.",
            id="ops.E006",
        )
    # 0 means no pool: each thread has a connection of its own.
    if 0 < settings.DATABASE_POOL_SIZE < settings.WEB_THREADS:
        yield Error(
            "A web process has more threads than database connections: requests would wait, and fail after 5 s.",
            hint="Set DATABASE_POOL_SIZE to at least WEB_THREADS.",
            id="ops.E007",
        )
    if settings.HTTPS and not settings.TRUSTED_PROXY_COUNT:
        yield Warning(
            "The address is HTTPS but no proxy is trusted: every request looks like HTTP and is redirected for ever.",
            hint="Set TRUSTED_PROXY_COUNT to the number of proxies in front, usually 1.",
            id="ops.W001",
        )


def _connections() -> Iterator[CheckMessage]:
    """Servers on other machines: who listens between reads everything, and who stands between can pose as them."""
    database = urlsplit(settings.DATABASE_URL)
    mode = dict(parse_qsl(database.query)).get("sslmode", "")
    if _is_elsewhere(database.hostname) and mode not in {"verify-full", "verify-ca"}:
        yield Warning(
            "The connection to the database is not surely encrypted, or nobody looks whose certificate it is.",
            hint="Add ?sslmode=verify-full to DATABASE_URL, and sslrootcert unless the system knows the issuer.",
            id="ops.W002",
        )
    redis = urlsplit(settings.REDIS_URL)
    if redis.scheme == "redis" and _is_elsewhere(redis.hostname):
        yield Warning(
            "The connection to Redis is not encrypted.", hint="Let REDIS_URL begin with rediss://.", id="ops.W003"
        )
    files = urlsplit(settings.FILES_URL)
    if files.scheme == "s3+http" and _is_elsewhere(files.hostname):
        yield Warning("Documents go to their store unencrypted.", hint="Let FILES_URL begin with s3://.", id="ops.W004")
    if files.scheme and find_spec("storages") is None:
        yield Error(
            "FILES_URL names a bucket, and the packages to reach one are not there.",
            hint="pip install --require-hashes -r requirements/s3.txt",
            id="ops.E014",
        )


def _is_elsewhere(host: str | None) -> bool:
    return bool(host) and host not in {"localhost", "127.0.0.1", "::1"}


def _messages() -> Iterator[CheckMessage]:
    if settings.EMAIL_IS_CAUGHT:
        yield Error("There is no mail server, so no message would be sent.", hint="Set EMAIL_HOST.", id="ops.E008")
    elif settings.EMAIL_SECURITY == "none" and settings.EMAIL_HOST_PASSWORD:
        yield Error(
            "The password of the mail server would be sent in the clear.",
            hint="Set EMAIL_SECURITY to starttls or tls.",
            id="ops.E009",
        )
    # "Name <a@localhost>" ends in a bracket.
    if settings.DEFAULT_FROM_EMAIL.rstrip(">").endswith(("@localhost", "@127.0.0.1")):
        yield Error(
            "The sender of our mails is an address on this machine; other servers will refuse them.",
            hint="Set DEFAULT_FROM_EMAIL to an address in a domain of yours.",
            id="ops.E010",
        )
    if settings.SMS_GATEWAY_URL and not settings.SMS_GATEWAY_TOKEN:
        yield Error(
            "The gateway for text messages has no token.",
            hint="Set SMS_GATEWAY_TOKEN, or SMS_GATEWAY_TOKEN_FILE.",
            id="ops.E011",
        )
    if urlsplit(settings.SMS_GATEWAY_URL).scheme == "http":
        yield Error(
            "Phone numbers would be sent to the gateway in the clear.",
            hint="Set SMS_GATEWAY_URL to an address that begins with https://.",
            id="ops.E012",
        )
    if not settings.SECURITY_CONTACT.startswith(("mailto:", "https://")):
        yield Warning(
            "Nobody is named whom to tell of a hole in this site.",
            hint="Set SECURITY_CONTACT to an address that begins with mailto: or https://.",
            id="ops.W002",
        )
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < 20:
        yield Error(
            "METRICS_TOKEN can be guessed.",
            hint="Use 20 characters or more: python -c 'import secrets; print(secrets.token_urlsafe())'",
            id="ops.E013",
        )
