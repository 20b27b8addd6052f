"""`manage.py measure_duplicates`: how well organisations that stand here twice are found."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.duplicates.evidence import LIKELY, WEIGHTS
from apps.evaluation.duplicates import SEED, Found, measure

BOARD: Final = Path(settings.BASE_DIR, "tests", "data", "wuhan2020")


def folder(text: str) -> Path:
    path = Path(text)
    if not (path / "duplicates.csv").is_file():
        raise ArgumentTypeError(f"{path} has no duplicates.csv")
    return path


class Command(BaseCommand):
    help = (
        "Put a published board with labelled pairs, disturbed copies and look-alikes through the search for "
        "duplicates, and print its precision and recall. Nothing is kept. Needs the regions: manage.py load_reference."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--board", type=folder, default=BOARD, help="a folder with its files and duplicates.csv")
        parser.add_argument("--seed", type=int, default=SEED, help=f"of what is made up ({SEED})")
        parser.add_argument("--fit", action="store_true", help="also the bits of each finding in the training half")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not (options["board"] / "duplicates.csv").is_file():
            raise CommandError(f"{options['board']} has no duplicates.csv: name the board with --board")
        measured = measure(options["board"], seed=options["seed"], fit=options["fit"])
        self.stdout.write(f"{'pairs':<12}{'right':>7}{'wrong':>7}{'missed':>8}{'precision':>11}{'recall':>8}")
        for name, found in (
            ("training", measured.training),
            ("held out", measured.held_out),
            ("board alone", measured.board),
        ):
            self.stdout.write(_row(name, found))
        for pair in measured.missed_on_board:
            self.stdout.write(f"missed on the board: {pair}")
        if options["fit"]:
            self.stdout.write(f"\nlog2(m / u) on the training half, beside the weight in use; likely from {LIKELY:g}")
            for fact, findings in measured.bits.items():
                said = (f"{finding} {bits:.1f} ({WEIGHTS[fact][finding]:g})" for finding, bits in findings.items())
                self.stdout.write(f"{fact:<9}" + ", ".join(said))


def _row(name: str, found: Found) -> str:
    return f"{name:<12}{found.right:>7}{found.wrong:>7}{found.missed:>8}{found.precision:>11.3f}{found.recall:>8.3f}"
