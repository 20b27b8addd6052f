"""Each mistake of a deployment is named by its own id, with what to do."""

from typing import Any

import pytest
from pytest_django import Settings

from apps.ops.checks import check_deployment

WELL: dict[str, Any] = {
    "PRODUCTION": True,
    "HTTPS": True,
    "SITE_HOST": "relief.example",
    "ALLOWED_HOSTS": ["relief.example"],
    "DATABASE_IS_NAMED": True,
    "REDIS_IS_NAMED": True,
    "DATABASE_URL": "postgresql://me:secret@db.internal/relief?sslmode=verify-full",
    "REDIS_URL": "rediss://redis.internal",
    "FILES_URL": "",
    "DATABASE_POOL_SIZE": 8,
    "WEB_THREADS": 4,
    "TRUSTED_PROXY_COUNT": 1,
    "EMAIL_IS_CAUGHT": False,
    "EMAIL_SECURITY": "starttls",
    "EMAIL_HOST_PASSWORD": "password",
    "DEFAULT_FROM_EMAIL": "CosmoMatch <noreply@relief.example>",
    "SMS_GATEWAY_URL": "https://sms.example",
    "SMS_GATEWAY_TOKEN": "token",
    "METRICS_TOKEN": "m" * 20,
    "SECURITY_CONTACT": "mailto:security@relief.example",
}


@pytest.mark.parametrize(
    ("mistake", "found"),
    [
        ({}, []),
        ({"PRODUCTION": False}, ["ops.E001"]),
        ({"HTTPS": False}, ["ops.E002"]),
        ({"ALLOWED_HOSTS": ["other.example"]}, ["ops.E003"]),
        ({"ALLOWED_HOSTS": ["relief.example", "*"]}, ["ops.E004"]),
        ({"DATABASE_IS_NAMED": False}, ["ops.E005"]),
        ({"REDIS_IS_NAMED": False}, ["ops.E006"]),
        ({"DATABASE_POOL_SIZE": 2}, ["ops.E007"]),
        ({"DATABASE_POOL_SIZE": 0}, []),
        ({"TRUSTED_PROXY_COUNT": 0}, ["ops.W001"]),
        ({"DATABASE_URL": "postgresql://me:secret@db.internal/relief?sslmode=require"}, ["ops.W002"]),
        ({"DATABASE_URL": "postgresql://me:secret@127.0.0.1/relief"}, []),
        ({"DATABASE_URL": "postgresql://me@/relief?host=/run/postgresql"}, []),
        ({"REDIS_URL": "redis://redis.internal"}, ["ops.W003"]),
        ({"REDIS_URL": "unix:///run/redis.sock"}, []),
        ({"FILES_URL": "s3+http://key:secret@store.internal/documents"}, ["ops.W004"]),
        ({"FILES_URL": "s3://key:secret@store.internal/documents"}, []),
        ({"EMAIL_IS_CAUGHT": True}, ["ops.E008"]),
        ({"EMAIL_SECURITY": "none"}, ["ops.E009"]),
        ({"DEFAULT_FROM_EMAIL": "CosmoMatch <noreply@127.0.0.1>"}, ["ops.E010"]),
        ({"SMS_GATEWAY_TOKEN": ""}, ["ops.E011"]),
        ({"SMS_GATEWAY_URL": "http://sms.example"}, ["ops.E012"]),
        ({"SECURITY_CONTACT": ""}, ["ops.W002"]),
        ({"SECURITY_CONTACT": "security@relief.example"}, ["ops.W002"]),
        ({"METRICS_TOKEN": "short"}, ["ops.E013"]),
        ({"METRICS_TOKEN": ""}, []),
    ],
)
def test_a_mistake_is_named(settings: Settings, mistake: dict[str, Any], found: list[str]) -> None:
    for name, value in (WELL | mistake).items():
        setattr(settings, name, value)
    messages = check_deployment()
    assert [message.id for message in messages] == found
    assert all(message.hint for message in messages)
