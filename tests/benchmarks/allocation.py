"""Contested supply: the methods beside each other, each in a process of its own.

`python -m tests.benchmarks.allocation [--one 10000] [--many 100000 --items 200] [--part 3000]`. CPU time is what is
compared: on a shared machine the wall clock measures the neighbours.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from apps.matching import ladder as ladders
from apps.matching.allocation import decide
from apps.matching.arcs import Arcs, Given, every, greedy, survey
from apps.matching.contest import allocate
from apps.matching.flow import solve
from apps.matching.ladder import Ladder
from apps.matching.market import Ints, Market
from apps.matching.ranking import Need, Source
from apps.policy.values import Fairness, PolicyValues
from tests.benchmarks import contested

# Only what is compared: tiers, precedence and score. The rest is measured for itself.
PLAIN = PolicyValues(fairness=Fairness.OFF, shipment_weight=0, stay_bonus=0, matter_share=0)
GREEDY, EXACT, QUICK, USUAL, CERTIFIED, AT_ONCE = "greedy", "exact", "quick", "usual", "certified", "decide"
Figures = dict[str, Any]


def _prepared(needs: list[Need], sources: list[Source], policy: PolicyValues) -> tuple[Market, Ladder, Ints]:
    market = Market(needs, sources, contested.RULES, policy=policy, now=contested.NOW)
    supply = survey(market, spread=1).supply
    return market, ladders.build(market, supply), supply


def _figures(market: Market, ladder: Ladder, supply: Ints, given: Given) -> Figures:
    return {
        "value": ladder.worth(given.got) + given.score,
        "score": given.score,
        "units": int(given.got.sum()),
        "tiers": {str(tier): units for tier, units in ladder.tiers(given.got).items()},
        "jain": ladders.jain(market, ladder, given.got, supply),
    }


def _work(method: str, needs: list[Need], sources: list[Source], policy: PolicyValues) -> Figures:
    if method == AT_ONCE:
        plan = decide(needs, sources, contested.RULES, policy=policy, now=contested.NOW)
        given = {(hold.need_id, hold.candidate.source.id): hold.quantity for hold in plan.holds}
        return {"given": given}
    if method in {EXACT, GREEDY}:
        market, ladder, supply = _prepared(needs, sources, policy)
        if method == GREEDY:
            return _figures(market, ladder, supply, greedy(market, ladder.tier, ladder.cap))
        arcs = every(market)
        return _figures(market, ladder, supply, Given.of(market, arcs, solve(market, arcs, ladder)))
    goals: dict[str, dict[str, Any]] = {
        QUICK: {"expired": lambda: True, "small": 0},
        USUAL: {},
        CERTIFIED: {"fine": float("inf"), "small": 0},
    }
    outcome = allocate(needs, sources, contested.RULES, policy=policy, now=contested.NOW, **goals[method])
    report = outcome.report
    return {
        "value": report.value,
        "score": report.score * 1000 * sum(report.tiers.values()),
        "units": sum(report.tiers.values()),
        "tiers": {str(tier): units for tier, units in report.tiers.items()},
        "jain": report.jain,
        "bound": report.value / (1 - report.gap),
        "rounds": report.rounds,
        "repairs": report.repairs,
        "violations": sum(hold.quantity < hold.candidate.source.minimum_order for hold in outcome.plan.holds),
    }


def child(options: argparse.Namespace) -> None:
    """Solve every `step`th market, and say in one line what came of it and what it cost."""
    policy = replace(PLAIN, fairness=options.fairness)
    shape = contested.Shape(minimum=options.minimum)
    total: Figures = {"cpu": 0.0}
    for item in range(options.first, options.items, options.step):
        needs, sources = contested.market(options.size, options.size, seed=item, shape=shape)
        began = time.process_time()
        figures = _work(options.method, needs, sources, policy)
        total["cpu"] += time.process_time() - began
        if given := figures.pop("given", None):
            figures = _valued(needs, sources, policy, given)
        for name, value in figures.items():
            if name == "tiers":
                so_far: dict[str, int] = total.setdefault("tiers", {})
                for tier, units in value.items():
                    so_far[tier] = so_far.get(tier, 0) + units
            else:
                total[name] = total.get(name, 0) + value
    total["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(total))


def _valued(
    needs: list[Need], sources: list[Source], policy: PolicyValues, given: dict[tuple[int, int], int]
) -> Figures:
    """What the plan of `decide` is worth by the same measure."""
    import numpy as np

    market, ladder, supply = _prepared(needs, sources, policy)
    pairs = sorted((market.row[need], market.column[source], units) for (need, source), units in given.items())
    row, column, units = np.array(pairs, dtype=np.int64).T
    arcs = Arcs.at(market, row, column)
    assert len(arcs) == len(pairs)
    return _figures(market, ladder, supply, Given.of(market, arcs, units))


def measure(method: str, size: int, *, items: int = 1, minimum: float = 0, fairness: str = Fairness.OFF) -> Figures:
    """One process, or two that share the items."""
    processes = min(2, items)
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.benchmarks.allocation", "--method", method, "--size", str(size)),
                *("--items", str(items), "--first", str(first), "--step", str(processes)),
                *("--minimum", str(minimum), "--fairness", str(fairness)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        for first in range(processes)
    ]
    answers = [json.loads(process.communicate()[0]) for process in running]
    found: Figures = {"wall": time.monotonic() - began}
    for name in answers[0]:
        if name == "tiers":
            found[name] = {tier: sum(one[name].get(tier, 0) for one in answers) for tier in sorted(answers[0][name])}
        else:
            found[name] = sum(one[name] for one in answers)
    if "bound" in found:
        found["gap"] = 1 - found["value"] / found["bound"]
    return found


def show(title: str, found: dict[str, Figures]) -> None:
    exact = found.get(EXACT)
    print(f"\n{title}; load {os.getloadavg()[0]:.1f}")
    print(f"  {'method':<22}{'CPU s':>8}{'wall s':>8}{'MB':>7}{'value':>9}{'gap':>10}{'score':>7}  units of each tier")
    for method, one in found.items():
        value = f"{one['value'] / exact['value']:.4%}" if exact else f"{one['value']:.3e}"
        gap = f"{one['gap']:.4%}" if "gap" in one else ""
        print(
            f"  {method:<22}{one['cpu']:>8.1f}{one['wall']:>8.1f}{one['memory']:>7.0f}{value:>9}{gap:>10}"
            f"{one['score'] / max(1, one['units']) / 1000:>7.3f}  {list(one['tiers'].values())}"
        )


def against(what: str, figure: float, target: float, *, most: bool) -> None:
    met = figure <= target if most else figure >= target
    print(f"  {what:<66}{figure:>9.4f}  {'≤' if most else '≥'} {target:<7} {'met' if met else 'NOT MET'}")


def one_item(size: int) -> None:
    found = {method: measure(method, size) for method in (GREEDY, EXACT, QUICK, CERTIFIED)}
    show(f"One item, {size:,} needs × {size:,} offers", found)
    exact, quick, certified = found[EXACT], found[QUICK], found[CERTIFIED]
    against("quick: value of exact", quick["value"] / exact["value"], 0.98, most=False)
    against("quick: CPU time of exact", quick["cpu"] / exact["cpu"], 0.0667, most=True)
    against("quick: memory of exact", quick["memory"] / exact["memory"], 0.1, most=True)
    against("certified: gap", certified["gap"], 0.0001, most=True)
    against("certified: CPU time of exact", certified["cpu"] / exact["cpu"], 0.75, most=True)


def many_items(size: int, items: int) -> None:
    found = {method: measure(method, size // items, items=items) for method in (AT_ONCE, GREEDY, EXACT, QUICK, USUAL)}
    show(f"{size:,} × {size:,} over {items} items, two processes", found)
    exact, usual = found[EXACT], found[USUAL]
    against("usual: value of exact", usual["value"] / exact["value"], 0.99, most=False)
    against("usual: wall time of exact", usual["wall"] / exact["wall"], 0.2, most=True)
    against("usual: value of greedy (decide)", usual["value"] / found[AT_ONCE]["value"], 1.06, most=False)
    against("usual: CPU time of greedy (decide)", usual["cpu"] / found[AT_ONCE]["cpu"], 1, most=True)
    against(
        "usual: CPU time of greedy on arrays, which it begins with", usual["cpu"] / found[GREEDY]["cpu"], 1, most=True
    )
    against("usual: memory of both processes, MB", usual["memory"], 2048, most=True)


def fair_and_minimum(size: int) -> None:
    exact, fair = measure(EXACT, size), measure(CERTIFIED, size, fairness=Fairness.TIER)
    show(f"Fair within a tier, {size:,} × {size:,} (values of different aims)", {"without": exact, "fair": fair})
    apart = sum(exact["tiers"][tier] != units for tier, units in fair["tiers"].items())
    against("tiers whose totals differ", apart, 0, most=True)
    against("Jain's index in the marginal tier, without", exact["jain"], 0, most=False)
    against("Jain's index in the marginal tier, fair", fair["jain"], 0.7, most=False)
    least = measure(CERTIFIED, size, minimum=0.5)
    show(f"Minimum orders at half of the offers, {size:,} × {size:,}", {"kept": least})
    against("violations", least["violations"], 0, most=True)
    against("value of the relaxation's bound", least["value"] / least["bound"], 0.995, most=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.allocation", description=__doc__)
    parser.add_argument("--one", type=int, default=10_000, help="needs, and offers, of the one item (10000)")
    parser.add_argument("--many", type=int, default=100_000, help="needs, and offers, of many items (100000)")
    parser.add_argument("--items", type=int, default=200, help="how many items (200)")
    parser.add_argument("--part", type=int, default=3_000, help="for fairness and minimum orders (3000)")
    for name, kind in {
        "method": str,
        "size": int,
        "first": int,
        "step": int,
        "minimum": float,
        "fairness": str,
    }.items():
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    return parser.parse_args()


def run(*, one: int = 10_000, many: int = 100_000, items: int = 200, part: int = 3_000) -> None:
    """A size of 0 leaves a case out."""
    if one:
        one_item(one)
    if many:
        many_items(many, items)
    if part:
        fair_and_minimum(part)


if __name__ == "__main__":
    options = arguments()
    if options.method:
        child(options)
    else:
        run(one=options.one, many=options.many, items=options.items, part=options.part)
