"""The environment is read strictly, and everything that is read is in `.env.example`."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from cosmomatch.settings import without_links

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The settings as they would be with exactly these variables."""

    def read_with(**environment: str) -> dict[str, Any]:
        for name in list(os.environ):
            if name.isupper() and not name.startswith(("PY", "COV")):
                monkeypatch.delenv(name, raising=False)
        for name, value in ({"VAR_DIR": str(tmp_path)} | environment).items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "cosmomatch" / "settings.py"))

    return read_with


def production(**changes: str) -> dict[str, str]:
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    return {name: value.strip('"') for name, value in values.items()} | {"SECRET_KEY": "k" * 50} | changes


def test_the_example_lists_exactly_what_is_read(read: Any) -> None:
    listed = re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert sorted(listed) == sorted(read()["READ"])


def test_the_example_marks_exactly_the_secrets(read: Any) -> None:
    marked = re.findall(r"^# Secret[.:].*\n(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert sorted(marked) == sorted(name for name, is_secret in read()["READ"].items() if is_secret)


def test_the_example_passes_every_check_of_a_deployment() -> None:
    said = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            **production(SECRET_KEY="a-Long-0ne-with-many-different-characters-in-it-01234"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr


def test_nothing_at_all_is_a_developers_machine(read: Any, tmp_path: Path) -> None:
    settings = read()
    assert settings["DATABASES"]["default"]["HOST"] == "database-url-is-not-set.invalid"  # manage.py names one
    assert settings["SITE_URL"] == "http://127.0.0.1:8000"
    assert not settings["DEBUG"]

    key = settings["SECRET_KEY"]
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0
    assert read()["SECRET_KEY"] == key


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PORT", "80a", "PORT must be a whole number from 1 to 65535, not '80a'"),
        ("PORT", "0", "PORT must be"),
        ("PORT", "٣", "PORT must be"),
        ("DEBUG", "yes", "DEBUG must be one of false, true, not 'yes'"),
        ("ENVIRONMENT", "prod", "ENVIRONMENT must be one of development, production"),
        ("SITE_URL", "relief.example", "SITE_URL must be a URL that begins with http:// or https://"),
        ("SITE_URL", "https://relief.example:port", "SITE_URL is not a URL"),
        ("DATABASE_URL", "mysql://user@host/name", "DATABASE_URL must be a URL that begins with postgres"),
        ("DATABASE_URL", "postgresql://host", "DATABASE_URL names no database"),
        ("REDIS_URL", "redis://host/queue", "REDIS_URL must end in the number of a database"),
        ("EMAIL_SECURITY", "ssl", "EMAIL_SECURITY must be one of"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be one of"),
        ("SECRET_KEY_FILE", "/no/such/file", "SECRET_KEY_FILE names /no/such/file, which cannot be read"),
    ],
)
def test_a_bad_value_is_refused_by_name(read: Any, name: str, value: str, complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(complaint)):
        read(**{name: value})


def test_a_command_says_it_in_one_sentence() -> None:
    said = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (1, "PORT must be a whole number from 1 to 65535, not 'eighty'.\n")


def test_a_refusal_does_not_repeat_a_password(read: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(DATABASE_URL="mysql://user:hunter2@host/name")
    assert "hunter2" not in str(refusal.value)


def test_production_must_bring_its_key(read: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY .* must be set"):
        read(**production(SECRET_KEY=""))


def test_a_secret_may_come_from_a_file_but_not_from_two_places(read: Any, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from a file\n", encoding="utf-8")
    assert read(SECRET_KEY_FILE=str(file))["SECRET_KEY"] == "from a file"
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY or SECRET_KEY_FILE, not both"):
        read(SECRET_KEY_FILE=str(file), SECRET_KEY="another")

    file.write_text("\n", encoding="utf-8")
    with pytest.raises(ImproperlyConfigured, match="which is empty"):
        read(SECRET_KEY_FILE=str(file))


def test_a_database_url_is_taken_apart(read: Any) -> None:
    url = "postgresql://me:p%40ss@db.example:6543/relief%20board?sslmode=require"
    database = read(DATABASE_URL=url)["DATABASES"]["default"]
    assert {name: database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")} == {
        "NAME": "relief board",
        "USER": "me",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "6543",
    }
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["OPTIONS"]["pool"]["timeout"] == 5


def test_a_database_may_have_several_hosts(read: Any) -> None:
    url = "postgresql://me:p%40ss@one:5432,two:5433/name?target_session_attrs=read-write"
    database = read(DATABASE_URL=url)["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["USER"]) == ("one,two", "5432,5433", "me")
    assert database["OPTIONS"]["target_session_attrs"] == "read-write"


def test_a_connection_notices_that_the_other_machine_is_gone(read: Any) -> None:
    options = read(DATABASE_URL="postgresql://me@host/name?tcp_user_timeout=9000")["DATABASES"]["default"]["OPTIONS"]
    assert (options["keepalives_idle"], options["tcp_user_timeout"]) == ("10", "9000")


ORDERED = "-c join_collapse_limit=6"


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, ORDERED),
        (
            {"PROCESS": "web"},
            f"-c statement_timeout=20s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s {ORDERED}",
        ),
        ({"DATABASE_URL": "postgresql://me@host/name?options=-c%20x.y=z"}, f"-c x.y=z {ORDERED}"),
        (
            {"PROCESS": "worker", "DATABASE_STATEMENT_SECONDS": "0", "DATABASE_IDLE_SECONDS": "0"},
            f"-c lock_timeout=60s {ORDERED}",
        ),
        (
            {"PROCESS": "sender", "DATABASE_STATEMENT_SECONDS": "0", "DATABASE_IDLE_SECONDS": "0"},
            f"-c lock_timeout=60s {ORDERED} -c synchronous_commit=off",
        ),
    ],
)
def test_each_kind_of_process_has_limits_of_its_own(read: Any, environment: dict[str, str], options: str) -> None:
    assert read(**environment)["DATABASES"]["default"]["OPTIONS"].get("options") == options


def test_a_pooler_is_sent_no_limits(read: Any) -> None:
    database = read(PROCESS="web", DATABASE_IS_POOLED="true")["DATABASES"]["default"]
    assert "options" not in database["OPTIONS"]
    assert database["DISABLE_SERVER_SIDE_CURSORS"]


@pytest.mark.parametrize(
    ("url", "queue", "cache"),
    [
        ("redis://host:6379", "redis://host:6379/0", "redis://host:6379/1"),
        ("rediss://:p%40ss@host/4", "rediss://:p%40ss@host/4", "rediss://:p%40ss@host/5"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0", "unix:///run/r.sock?db=1"),
        ("unix:///run/r.sock?db=2", "redis+socket:///run/r.sock?virtual_host=2", "unix:///run/r.sock?db=3"),
    ],
)
def test_queue_and_cache_are_neighbours_in_redis(read: Any, url: str, queue: str, cache: str) -> None:
    settings = read(REDIS_URL=url)
    assert (settings["CELERY_BROKER_URL"], settings["CACHE_URL"]) == (queue, cache)


def test_https_makes_everything_strict(read: Any) -> None:
    strict, lax = read(**production()), read()
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "LANGUAGE_COOKIE_SECURE")
    assert [strict[name] for name in names] == [True] * 4
    assert [lax[name] for name in names] == [False] * 4
    assert (strict["SECURE_HSTS_SECONDS"], lax["SECURE_HSTS_SECONDS"]) == (31_536_000, 0)
    assert strict["ALLOWED_HOSTS"] == ["relief.example"]


def test_headers_of_a_proxy_are_believed_only_if_one_is_named(read: Any) -> None:
    assert read()["SECURE_PROXY_SSL_HEADER"] is None
    assert read(TRUSTED_PROXY_COUNT="1")["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")


def test_the_content_policy_trusts_nobody_else(read: Any) -> None:
    directives = read()["CONTENT_SECURITY_POLICY"]["DIRECTIVES"]
    assert directives["default-src"] == ["'self'"]
    assert not [
        source for sources in directives.values() for source in sources if "unsafe" in source or "http" in source
    ]


@pytest.mark.parametrize(
    ("request_line", "logged"),
    [
        ("GET /a/WyJtYXRjaC5hY2NlcHQiXQ.abc/", "GET /a/…"),
        ("GET /account/password/reset/key/1-abc-def/", "GET /account/password/reset/key/…"),
        ("GET /account/confirm-email/MQ:abc/", "GET /account/confirm-email/…"),
        ("GET /desk/search/?q=13800001234", "GET /desk/search/?…"),
        ("GET /needs/12/", "GET /needs/12/"),
    ],
)
def test_the_log_holds_no_link_that_acts_and_nothing_that_was_searched_for(request_line: str, logged: str) -> None:
    assert without_links(None, "info", {"request": request_line}) == {"request": logged}


def test_a_deployment_confirms_addresses_and_the_demo_does_not(read: Any) -> None:
    assert read(**production())["ACCOUNT_EMAIL_VERIFICATION"] == "mandatory"
    assert read()["ACCOUNT_EMAIL_VERIFICATION"] == "optional"


def test_cookies_of_a_site_with_https_are_of_this_host_alone(read: Any) -> None:
    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "LANGUAGE_COOKIE_NAME")
    over_https = read(SITE_URL="https://relief.example")
    assert all(over_https[name].startswith("__Host-") for name in names)
    assert over_https["SESSION_COOKIE_SECURE"]
    assert not any(read(SITE_URL="http://localhost:8000")[name].startswith("__Host-") for name in names)
