"""`manage.py backtest`: real requests of the past through the decision of today, beside the published strategies."""

import json
import math
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.policy.faults import InvalidPolicyError
from apps.policy.values import PolicyValues
from apps.policy.wording import say

if TYPE_CHECKING:  # numpy and pandas stay out of every other command
    from apps.evaluation.bounds import HindsightBounds
    from apps.evaluation.dataset import Dataset
    from apps.evaluation.presets import EvaluationSetting
    from apps.evaluation.trial import Trial

HEAD = f"{'':<28}{'every':>7}{'fill':>9}{'of served':>11}{'miles':>9}{'holding':>9}{'parcels':>9}{'shipped':>9}"
COLUMNS = """fill: mean share of a request that is filled; of served: the same among those who get something; miles and
days of holding of a mean unit; parcels per donor who ships; share of all units shipped. Below each of ours: how many
times what proximity reaches once a week."""


def days(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ArgumentTypeError(f"a number of days, not {text!r}") from error
    if not 0.01 <= value <= 365:
        raise ArgumentTypeError("between 0.01 and 365 days")
    return value


class Command(BaseCommand):
    help = (
        "Replay published requests (donors, recipients and the miles between them) through the matching of this "
        "deployment's code, and print the five metrics of the Framework for PPE Matching beside its two strategies."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data",
            type=Path,
            help="a folder with anon_donors.csv, anon_recipients.csv and anon_distance_matrix.csv (those of ppe-match)",
        )
        parser.add_argument("--setting", action="append", metavar="NAME", help="a setting by name; --list names them")
        parser.add_argument(
            "--policy", type=Path, metavar="FILE", help="a policy as JSON: what differs from the default"
        )
        parser.add_argument("--front", action="store_true", help="all settings by name")
        parser.add_argument("--list", action="store_true", help="name the settings, and do nothing")
        parser.add_argument(
            "--every", type=days, metavar="DAYS", help="from round to round (that of a single setting, else 7)"
        )
        parser.add_argument("--largest", type=int, default=1000, help="leave out offers of more units (1000)")
        parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="also N draws with replacement")
        parser.add_argument("--seed", type=int, default=0, help="of the first draw (0)")
        parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the settings into this file")
        parser.add_argument("--official", action="store_true", help="also in ppe-match's own framework: takes minutes")
        parser.add_argument("--json", action="store_true", help="one line of JSON instead of words")

    def handle(self, *_args: Any, **options: Any) -> None:
        from apps.evaluation import trial
        from apps.evaluation.bounds import bounds

        if options["list"]:
            return self._name_settings()
        settings = _settings(options)
        options["every"] = options["every"] or (settings[0].every if len(settings) == 1 else 7)
        folder, dataset = _dataset(options["data"], options["largest"])
        every = options["every"]
        trials = trial.published(dataset, every=every)
        for setting in settings:
            with _Progress(setting.name) as report:
                trials.append(trial.ours(dataset, setting, every=every, report=report))
        limits = bounds(dataset, every)
        # One yardstick whatever `--every` is: proximity once a week, as it was published.
        weekly = trials[1] if every == 7 else trial.published(dataset, every=7)[1]
        drawn = {setting.name: self._draws(dataset, setting, options) for setting in settings if options["bootstrap"]}
        official = _official(folder, dataset, settings, options) if options["official"] else {}
        if options["svg"]:
            from apps.evaluation.plot import svg

            title = f"Published requests replayed, rounds every {every:g} days"
            options["svg"].write_text(svg(trials, limits, title=title), encoding="utf-8")
        if options["json"]:
            found = {
                "trials": [asdict(one) for one in trials],
                "bounds": asdict(limits),
                "bootstrap": drawn,
                "official": official,
            }
            self.stdout.write(json.dumps(_without_nan(found)))
            return None
        self.stdout.write("\n".join(_in_words(trials, weekly, limits, drawn, official)))
        return None

    def _name_settings(self) -> None:
        from apps.evaluation.presets import SETTINGS

        self.stdout.write(
            "\n".join(f"{setting.name:<16}every {setting.every:g} days: {setting.why}" for setting in SETTINGS)
        )

    def _draws(
        self, dataset: "Dataset", setting: "EvaluationSetting", options: dict[str, Any]
    ) -> list[dict[str, float]]:
        from apps.evaluation.trial import bootstrap

        count, seed = options["bootstrap"], options["seed"]
        draws = []
        with _Progress(f"{setting.name}, draws") as report:
            for one in bootstrap(dataset, setting.policy, every=options["every"], seeds=range(seed, seed + count)):
                draws.append(one)
                report(len(draws) / count)
        return draws


def _without_nan(found: Any) -> Any:
    """JSON knows no NaN: null where there is no mean."""
    if isinstance(found, dict):
        return {name: _without_nan(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_without_nan(value) for value in found]
    return None if isinstance(found, float) and math.isnan(found) else found


def _settings(options: dict[str, Any]) -> "list[EvaluationSetting]":
    from apps.evaluation.presets import SETTINGS, EvaluationSetting, named

    if options["front"]:
        chosen = list(SETTINGS)
    else:
        try:
            chosen = [named(name) for name in options["setting"] or ([] if options["policy"] else ["default"])]
        except KeyError as error:
            raise CommandError(f"There is no setting {error}. `manage.py backtest --list` names them.") from error
    if options["policy"]:
        try:
            given = json.loads(options["policy"].read_text(encoding="utf-8"))
            policy = PolicyValues.from_json(given)
        except InvalidPolicyError as error:
            said = " ".join(str(say(fault)) for fault in error.faults)
            raise CommandError(f"{options['policy']}: {said}") from error
        except (OSError, ValueError) as error:
            raise CommandError(f"{options['policy']}: {error}") from error
        chosen.append(EvaluationSetting(options["policy"].stem, "from a file", policy))
    return chosen


def _dataset(folder: Path | None, largest: int) -> "tuple[Path, Dataset]":
    from apps.evaluation.dataset import DatasetFileError, bundled, read

    folder = folder or bundled()
    if folder is None:
        raise CommandError(
            "The published data are not installed. Install the development dependencies (requirements/dev.txt), which "
            "bring them with ppe-match, or name a folder with --data."
        )
    try:
        return folder, read(folder, largest=largest)
    except DatasetFileError as error:
        raise CommandError(str(error)) from error


def _official(
    folder: Path, dataset: "Dataset", settings: "list[EvaluationSetting]", options: dict[str, Any]
) -> dict[str, dict[str, float]]:
    try:
        from apps.evaluation.framework import adapted, official
        from apps.evaluation.replay import CurrentMatching
    except ImportError as error:
        raise CommandError(f"--official needs the package ppe-match: {error}") from error
    every, largest = options["every"], options["largest"]
    if every != int(every):
        raise CommandError("--official: the framework's rounds are whole days apart")
    return {
        setting.name: asdict(
            official(
                folder, adapted(dataset, CurrentMatching(dataset, setting.policy)), every=int(every), largest=largest
            )
        )
        for setting in settings
    }


class _Progress:
    """How far long work is, on a terminal; nothing elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Callable[[float], None]:
        return self._say

    def _say(self, share: float) -> None:
        if self._shown:
            sys.stderr.write(f"\r{self._what}: {share:.0%}")
            sys.stderr.flush()

    def __exit__(self, *_error: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")


def _in_words(
    trials: "list[Trial]",
    weekly: "Trial",
    limits: "HindsightBounds",
    drawn: dict[str, list[dict[str, float]]],
    official: dict[str, dict[str, float]],
) -> list[str]:
    from apps.evaluation.trial import medians, ratios

    lines = [COLUMNS, "", HEAD]
    for number, one in enumerate(trials):
        lines.append(_row(one.name, f"{one.every:g} d", asdict(one.metrics)))
        if number > 1:
            lines.append(_times("", ratios(one.metrics, weekly.metrics)))
            beaten = [other.name for other in trials[:2] if one.metrics.at_least_as_good(other.metrics)]
            if beaten:
                lines.append(f"{'':<28}at least as good on all five as {' and '.join(beaten)}")
        if one.name in official:
            lines.append(_row("  in ppe-match itself", f"{one.every:g} d", official[one.name]))
        if draws := drawn.get(one.name):
            lines.append(_times(f"  median of {len(draws)} draws", medians(draws)))
            # More is better for fill, so its worst is the smallest; of all others it is the largest.
            worst = {
                name: (min if name in {"fill", "fill_served"} else max)(d[name] for d in draws) for name in draws[0]
            }
            lines.append(_times("  worst of them", worst))
    lines.append(
        f"{'no plan can do better than':<28}{'':>7}{limits.fill:>9.4f}{1:>11.3f}{limits.miles:>9.1f}"
        f"{limits.holding:>9.2f}{1:>9.2f}"
    )
    return lines


def _row(name: str, every: str, metrics: dict[str, float]) -> str:
    fill, served, miles = metrics["fill"], metrics["fill_served"], metrics["miles"]
    return (
        f"{name:<28}{every:>7}{fill:>9.4f}{served:>11.3f}{miles:>9.1f}{metrics['holding']:>9.2f}"
        f"{metrics['shipments']:>9.2f}{metrics['shipped']:>9.2%}"
    )


def _times(name: str, ratio: dict[str, float]) -> str:
    figures = f"{ratio['fill']:>8.2f}×{ratio['fill_served']:>10.2f}×{ratio['miles']:>8.2f}×"
    return f"{name:<28}{'':>7}{figures}{ratio['holding']:>8.2f}×{ratio['shipments']:>8.2f}×"
