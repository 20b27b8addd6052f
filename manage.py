"""Every command of the program: `python manage.py help` lists them."""

import contextlib
import os
import sys

# These commands read no table, so they need no server.
WITHOUT_SERVERS = frozenset(
    {
        "backtest",
        "check",
        "collectstatic",
        "compilemessages",
        "diffsettings",
        "help",
        "makemessages",
        "messages",
        "spectacular",
        "version",
    }
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")

    # Inside the function: these modules must not load the settings before the environment names our servers.
    from apps.local import embedded
    from apps.local.processes import ServerProblem

    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "help")
    needs_servers = command not in WITHOUT_SERVERS and not {"--help", "--version", "-h"} & set(sys.argv)
    if needs_servers:
        embedded.name_in_environment()  # before the settings are read

    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        _ = settings.SECRET_KEY  # reads all settings, so that a bad value is a sentence and not a traceback
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))
    if command == "run":
        # It starts the servers by itself, and lasts: so it loads no app.
        from apps.local.management.commands.run import Command

        return Command().run_from_argv(sys.argv)
    try:
        with embedded.named_servers() if needs_servers else contextlib.nullcontext():
            execute_from_command_line(sys.argv)
    except ServerProblem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
