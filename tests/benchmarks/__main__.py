"""`python -m tests.benchmarks`: servers of its own in a folder of its own, a crowded market, and the figures."""

import argparse
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

PARTS = (
    "sweep",
    "burst",
    "paced",
    "export",
    "allocation",
    "backtest",
    "rough",
    "board",
    "levers",
    "commits",
    "ranking",
    "duplicates",
    "aged",
    "idle",
    "due",
    "mix",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is given")
    parser.add_argument("--offers", type=int, default=100_000, help="published offers (100000)")
    parser.add_argument("--suppliers", type=int, default=20_000, help="who offer them (20000)")
    parser.add_argument("--hospitals", type=int, default=500, help="who need (500)")
    parser.add_argument("--posts", type=int, default=1_000, help="needs posted as fast as possible (1000)")
    parser.add_argument("--sweep-posts", type=int, default=200, help="needs in the queue of the measured sweep (200)")
    parser.add_argument("--rate", type=int, default=100, help="needs a minute of the paced run (100)")
    parser.add_argument("--seconds", type=int, default=90, help="how long the paced run posts (90)")
    parser.add_argument("--mixed", type=int, default=600, help="seconds that the mix posts (600)")
    parser.add_argument("--rows", type=int, default=200_000, help="rows to export (200000)")
    parser.add_argument("--hot", type=int, default=20, help="offers that commits are after (20; also try 1 and 1000)")
    parser.add_argument("--ranked", type=int, default=1_000_000, help="offers among which the best are found (1000000)")
    parser.add_argument("--asked", type=int, default=1_000, help="needs for which they are found (1000)")
    parser.add_argument("--organisations", type=int, default=20_000, help="among which duplicates are found (20000)")
    parser.add_argument("--twins", type=int, default=150, help="of them those that score every offer (150)")
    parser.add_argument("--aged", type=int, default=300_000, help="needs of the aged market (300000)")
    parser.add_argument("--due", type=int, default=10_000, help="needs that fall due at once; also try 100000 (10000)")
    parser.add_argument("--groups", type=int, default=200, help="contested groups of the allocation (200)")
    parser.add_argument("--group-needs", type=int, default=200, help="needs, and offers, of each (200)")
    parser.add_argument("--huge", type=int, nargs=2, default=(43_000, 113_000), help="of one huge group (43000 113000)")
    parser.add_argument("--budget", type=float, default=20, help="seconds that a group may take (20)")
    parser.add_argument("--one", type=int, default=10_000, help="needs of one item, method beside method (10000)")
    parser.add_argument("--many", type=int, default=100_000, help="needs of many items, method beside method (100000)")
    parser.add_argument("--seed", type=int, default=2020)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the servers' data stays, and is used again")
    parser.add_argument("--profile", action="store_true", help="print where Python spends the sweep's time")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options.parts = options.parts or list(PARTS)
    return options


@contextmanager
def environment(mail_port: int, keep: Path | None) -> Iterator[Path]:
    """Durable servers, as in `make run`, in a folder that goes away unless it is to be kept."""
    from apps.local import embedded

    kept = nullcontext(keep) if keep else None
    with kept or tempfile.TemporaryDirectory(prefix="cosmomatch-bench-") as folder:
        var = Path(folder).absolute()
        for name in [name for name in os.environ if name.startswith(("EMAIL_", "DATABASE_", "REDIS_"))]:
            del os.environ[name]
        os.environ |= {
            "VAR_DIR": str(var),
            "DATABASE_URL": embedded.database_url(var),
            "REDIS_URL": embedded.redis_url(var),
            "DJANGO_SETTINGS_MODULE": "cosmomatch.settings",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
            "EMAIL_PORT": str(mail_port),
        }
        with embedded.use(var, must_own=True):
            yield var


def main() -> None:
    options = arguments()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        mail_port: int = probe.getsockname()[1]

    with environment(mail_port, options.keep) as var:
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        began = time.monotonic()
        call_command("migrate", verbosity=0)
        call_command("load_reference", stdout=sys.stderr)
        try:
            run(options, var, mail_port, began)
        finally:
            connections.close_all()


def run(options: argparse.Namespace, var: Path, mail_port: int, began: float) -> None:
    from tests.benchmarks import aged, due, duplicates, idle, mix, ranking

    # First, because the worlds of these three are copies of a database that has only reference data.
    if "aged" in options.parts:
        aged.run(needs=options.aged, posts=options.sweep_posts, seed=options.seed, explain=options.profile)
    if "due" in options.parts:
        due.run(due=options.due, posts=options.sweep_posts, seed=options.seed)
    if "mix" in options.parts:
        mix.run(var, mail_port, needs=options.aged, seed=options.seed, rate=options.rate, seconds=options.mixed)
    if "idle" in options.parts:
        idle.run()
    if set(options.parts) - {"ranking", "duplicates", "aged", "idle", "due", "mix"}:
        in_the_market(options, var, mail_port, began)
    if "duplicates" in options.parts:
        duplicates.run(options.organisations, options.seed)
    if "ranking" in options.parts:  # last: it begins by emptying the market
        ranking.run(offers=options.ranked, asked=options.asked, twins=options.twins, seed=options.seed)


def in_the_market(options: argparse.Namespace, var: Path, mail_port: int, began: float) -> None:
    from tests.benchmarks import (
        allocation,
        backtest,
        board,
        commits,
        exports,
        flow,
        groups,
        levers,
        rough,
        sweep,
        world,
    )

    size = world.Size(options.offers, options.suppliers, options.hospitals)
    market, hospitals = world.build(size, options.seed)
    print(
        f"{size.offers:,} published offers of {size.suppliers:,} suppliers, {len(market.items)} items,"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; made in {time.monotonic() - began:.0f} s"
    )
    if "sweep" in options.parts:
        sweep.run(market, hospitals, posts=options.sweep_posts, profile=options.profile)
    if {"burst", "paced"} & set(options.parts):
        with flow.running(var, mail_port) as mails:
            if "paced" in options.parts:
                posts = max(1, options.rate * options.seconds // 60)
                flow.run(market, hospitals, mails, posts=posts, every=60 / options.rate)
            if "burst" in options.parts:
                flow.run(market, hospitals, mails, posts=options.posts, every=0)
    if "allocation" in options.parts:
        allocation.run(one=options.one, many=options.many, part=3_000 if options.one else 0)
        groups.run(groups=options.groups, needs=options.group_needs, huge=options.huge, seconds=options.budget)
    if "backtest" in options.parts:
        backtest.run()
    if "export" in options.parts:
        exports.run(market, options.rows)
    parts: dict[str, Callable[[], None]] = {
        "rough": lambda: rough.run(var, mail_port),
        "board": lambda: board.run(var, mail_port),
        "levers": lambda: levers.run(market, hospitals),
    }
    for part in (part for name, part in parts.items() if name in options.parts):
        part()
    if "commits" in options.parts:  # last: it empties the matches
        commits.run(market, hospitals, hot=options.hot)


if __name__ == "__main__":
    main()
