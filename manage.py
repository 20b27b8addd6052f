"""Every command of the program: `python manage.py help` lists them."""

import os
import sys

# They read no table, so they need no server.
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
        "run",
        "spectacular",
        "version",
    }
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cosmomatch.settings")

    from apps.ops import embedded  # after the environment, before Django: both read it
    from apps.ops.processes import ServerProblem

    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "help")
    needs_servers = command not in WITHOUT_SERVERS and not {"--help", "--version", "-h"} & set(sys.argv)

    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        _ = settings.SECRET_KEY  # reads them all: a bad value is a sentence, not a traceback
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))
    try:
        with embedded.servers_of_environment() if needs_servers else embedded.no_servers():
            execute_from_command_line(sys.argv)
    except ServerProblem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
