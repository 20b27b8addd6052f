"""What all of `make run` takes with nothing to do: processor time, transactions, memory."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg

from apps.local import embedded
from tests.benchmarks.figures import row
from tests.local.processes import descendants, eventually, free_port, program

SETTLES: Final = 90  # seconds from readiness on, so that every task of each minute has run
MOST_OF_A_CORE: Final = 0.06
MOST_TRANSACTIONS: Final = 3.0  # a second
MOST_MEGABYTES: Final = 500


def run(seconds: int = 120) -> None:
    with tempfile.TemporaryDirectory(prefix="cosmomatch-idle-") as folder:
        var, log, port = Path(folder) / "var", Path(folder) / "log", free_port()
        with program(log, "manage.py", "run", "--no-demo", VAR_DIR=str(var), PORT=str(port)) as group:
            eventually(lambda: b"Ready: " in log.read_bytes(), "readiness", 600)
            time.sleep(SETTLES)
            pids = [group.pid, *descendants(group.pid)]
            with psycopg.connect(embedded.database_url(var), autocommit=True) as own:
                before, committed, began = _processor_seconds(pids), _commits(own), time.monotonic()
                time.sleep(seconds)
                took = time.monotonic() - began
                # Servants of PostgreSQL come and go. Those that are gone had next to nothing to do.
                after = _processor_seconds(list(before))
                of_a_core = sum(after[pid] - before[pid] for pid in after) / took
                transactions = (_commits(own) - committed) / took
            megabytes = sum(map(_megabytes, after))
    print(f"\nNothing to do, for {took:.0f} s: {len(after)} processes, load {os.getloadavg()[0]:.1f}")
    for what, value, most in (
        ("of a core, in per cent", of_a_core * 100, MOST_OF_A_CORE * 100),
        ("transactions a second", transactions, MOST_TRANSACTIONS),
        ("megabytes, what is shared counted once", megabytes, MOST_MEGABYTES),
    ):
        row(what, f"{value:,.1f}", f"at most {most:.0f}{'' if value <= most else ': MISSED'}")


def _processor_seconds(pids: list[int]) -> dict[int, float]:
    """By process; those that have ended are left out."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            # User and system time are the 14th and 15th field; the second one is a name that may hold spaces.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _megabytes(pid: int) -> float:
    """Its proportional set size: of a page that several processes share, each is charged its part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _commits(connection: psycopg.Connection) -> int:
    [(number,)] = connection.execute(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    ).fetchall()
    return int(number)
