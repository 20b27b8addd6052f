"""`manage.py run`, which `make run` calls: everything, in the foreground."""

import contextlib
import io
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection
from redis.exceptions import RedisError

from apps.local import embedded, supervisor
from apps.local.processes import ServerProblem
from apps.ops.tasks import BEAT_KEY, WORKER_KEY

FIRST_COMMANDS = (("load_reference", "Loading the reference data"), ("demo", "Making an emergency to try it on"))


def apart(work: Callable[[], str]) -> str:
    """The answer of this work, done in a process of its own, so what it loads does not stay in memory."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def answer() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        try:
            sender.send(work())
        except (supervisor.CannotRun, ServerProblem) as problem:
            sender.send(problem)

    child = multiprocessing.get_context("fork").Process(target=answer)
    child.start()
    sender.close()
    try:
        found: str | Exception = receiver.recv()
    except EOFError:
        raise supervisor.CannotRun("The tables could not be prepared: see above.") from None
    finally:
        child.terminate()
        child.join()
    if isinstance(found, Exception):
        raise found
    return found


class Command(BaseCommand):
    help = "Start everything in the foreground, PostgreSQL and Redis too unless DATABASE_URL and REDIS_URL name others."
    # Checks may ask the database, which this command has yet to start.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="begin with reference data only")

    def handle(self, *_args: Any, no_demo: bool, **_options: Any) -> None:
        self.commands = FIRST_COMMANDS[: 1 if no_demo or settings.PRODUCTION else None]
        self.began = time.monotonic()
        is_own = embedded.database_url(settings.VAR_DIR) == settings.DATABASE_URL
        try:
            with (
                supervisor.stop_on_signals() as stop,
                supervisor.only_one(settings.VAR_DIR, settings.SITE_URL),
                supervisor.take_port(settings.PORT) as listener,
                embedded.use(
                    settings.VAR_DIR,
                    postgres=is_own,
                    redis=embedded.redis_url(settings.VAR_DIR) == settings.REDIS_URL,
                    must_own=True,
                    say=self.say,
                ) as servers,
            ):
                log_ins = apart(self.prepare)
                self.say("Starting web, worker, beat" + (" and a mail catcher" if settings.EMAIL_IS_CAUGHT else ""))
                supervisor.supervise(
                    supervisor.processes(
                        listener,
                        workers=settings.WORKER_PROCESSES,
                        mail_port=supervisor.free_port() if settings.EMAIL_IS_CAUGHT else None,
                        var=settings.VAR_DIR,
                        # This process owns the tables, as it migrates. Those that answer the world do not.
                        database_url=embedded.program_url(settings.VAR_DIR) if is_own else None,
                    ),
                    is_ready=lambda: supervisor.answers_ready(settings.PORT, settings.SITE_HOST),
                    when_ready=lambda: self.welcome(log_ins),
                    mend_servers=servers.mend,
                    say=self.say,
                    stop=stop,
                )
        except KeyboardInterrupt:
            pass
        except (supervisor.CannotRun, ServerProblem) as problem:
            sys.exit(str(problem))
        self.say("Stopped")

    def prepare(self) -> str:
        """Tables, then reference and demo data, once per database. Returns how to log in."""
        django.setup()
        try:
            self.say("Bringing the tables up to date")
            call_command("migrate", verbosity=0, interactive=False)
            if settings.PRODUCTION:
                # There every page, also that of an error, looks for its styles in the list that this makes.
                call_command("collectstatic", verbosity=0, interactive=False)
            cache.delete_many([BEAT_KEY, WORKER_KEY])  # the marks of an earlier run prove nothing
            log_ins = self.load_once()
        except DatabaseError as error:
            raise supervisor.CannotRun(f"The database cannot be used: {str(error).strip()}") from error
        except RedisError as error:
            raise supervisor.CannotRun(f"Redis does not answer: {error}") from error
        return log_ins

    def load_once(self) -> str:
        """What was loaded is noted in `var/` under the name of this very database, after it was loaded as a whole."""
        with connection.cursor() as cursor:
            # `system_identifier` is drawn by initdb, so a fresh cluster or another server is another name.
            cursor.execute(
                "SELECT format('%s/%s', system_identifier, oid) FROM pg_control_system(), pg_database"
                " WHERE datname = current_database()"
            )
            [name] = cursor.fetchone()
        notes: Path = settings.VAR_DIR / "loaded.json"
        loaded: dict[str, str] = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
        if name in loaded:
            return loaded[name]

        output = io.StringIO()
        for command, step in self.commands:
            if command not in get_commands():
                continue
            self.say(step)
            output = io.StringIO()
            call_command(command, stdout=output)
        loaded[name] = output.getvalue().strip()
        # Written beside and renamed, so that a crash leaves the old notes or the new ones.
        part = notes.with_suffix(".part")
        part.write_text(json.dumps(loaded, ensure_ascii=False), encoding="utf-8")
        part.replace(notes)
        return loaded[name]

    def welcome(self, log_ins: str) -> None:
        self.say(f"Ready: {settings.SITE_URL}")
        if log_ins:
            self.write(f"\n{log_ins}\n")
        if settings.EMAIL_IS_CAUGHT:
            self.write(f"\nMail is caught: {settings.SITE_URL}/dev/mail/ or {settings.VAR_DIR / 'mail'}")
        self.write("Ctrl-C stops everything.\n")

    def say(self, step: str) -> None:
        self.write(f"{time.monotonic() - self.began:5.1f} s  {step}")

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone, and we have yet to stop cleanly
            self.stdout.write(text)
            self.stdout.flush()
