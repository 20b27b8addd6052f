"""Contested supply: the methods beside each other, each in a process of its own.

`python -m tests.benchmarks.allocation [--one 10000] [--many 100000 --items 200] [--part 3000] [--unequal]`. The clock
runs from the needs and offers in memory until it is known who gets what; writing down the reasons (`explain`) comes
after every method and is shown beside it. CPU time is what is compared: on a shared machine the wall clock measures the
neighbours.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from apps.matching.allocation import outcome
from apps.matching.allocation.arcs import Arcs, all_arcs, eligible_supply
from apps.matching.allocation.contested import Effort, market_of, solve_market
from apps.matching.allocation.flow import solve_flow
from apps.matching.allocation.greedy import Assignment, greedy
from apps.matching.allocation.outcome import Method, Solution
from apps.matching.allocation.priority import priority_levels
from apps.matching.allocation.sequential import decide
from apps.matching.scoring.facts import Need, Source
from apps.policy.values import Fairness, PolicyValues
from tests.benchmarks import contested

# Only what is compared: tiers, precedence and score. The rest is measured for itself.
PLAIN = PolicyValues(
    fairness=Fairness.OFF, fill_weight=0, shipment_weight=0, shipment_units=0, stay_bonus=0, matter_share=0
)
GREEDY, EXACT, HUBS, QUICK = "greedy", "exact", "hubs", "quick"
USUAL, CERTIFIED, AT_ONCE = "usual", "certified", "decide"


def _rounds(count: int) -> Callable[[], bool]:
    """The time is up after so many rounds."""
    left = iter([False] * count)
    return lambda: next(left, True)


def peak_mb() -> float:
    """The most memory that this process had. What `getrusage` says goes on from the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
    return int(peak) / 1024


EFFORTS: dict[str, Callable[[], Effort]] = {
    HUBS: lambda: Effort(_rounds(0), exact_pairs=6_000),  # groups and classes alone; all pairs where that is quicker
    QUICK: lambda: Effort(_rounds(1), exact_pairs=25_000),  # some pairs, one round
    USUAL: Effort,  # all pairs where they are few, else until it is good enough; without a limit of time
    CERTIFIED: lambda: Effort(exact_pairs=0),  # some pairs, until it is good enough
}
Figures = dict[str, Any]


def _solved(method: str, needs: list[Need], sources: list[Source], policy: PolicyValues) -> Solution:
    market = market_of(needs, sources, contested.RULES, policy=policy, now=contested.NOW)
    if method in EFFORTS:
        return solve_market(market, EFFORTS[method](), {})
    supply = eligible_supply(market)
    levels = priority_levels(market, supply)
    if method == EXACT:
        arcs = all_arcs(market)
        given = Assignment.of_flow(market, arcs, solve_flow(market, arcs, levels))
        return Solution(market, levels, supply, given, arcs, Method.FLOW)
    if method == AT_ONCE:
        plan = decide(needs, sources, contested.RULES, policy=policy, now=contested.NOW)
        pairs = [
            (market.row[hold.need_id], market.column[hold.candidate.source.id], hold.quantity) for hold in plan.holds
        ]
        row, column, units = np.array(sorted(pairs), dtype=np.int64).T
        arcs = Arcs.of_pairs(market, row, column)
        assert len(arcs) == len(pairs)
        given = Assignment.of_flow(market, arcs, units)
    else:
        given = greedy(market, levels.cap)
    return Solution(market, levels, supply, given, given.arcs(), Method.GREEDY)


def _figures(solution: Solution) -> Figures:
    report, given = outcome.report_of(solution), solution.assignment
    minimum = solution.market.minimum.tolist()
    return {
        "value": report.value,
        "score": given.score,
        "units": int(given.assigned.sum()),
        "tiers": {str(tier): units for tier, units in report.tiers.items()},
        "jain": report.jain,
        "bound": report.value / (1 - report.gap),
        "rounds": report.rounds,
        "violations": sum(
            units < minimum[column] for mine in given.loads.values() for column, (units, _score) in mine.items()
        ),
    }


def child(options: argparse.Namespace) -> None:
    """Solve these markets, and say in one line what came of it and what it cost."""
    policy = replace(PLAIN, fairness=options.fairness)
    shape = contested.Shape(minimum=options.minimum)
    total: Figures = {"cpu": 0.0, "wall": 0.0, "told": 0.0}
    _solved(options.method, *contested.market(10, 10, seed=0, shape=shape), policy)  # a worker imports the solver once
    for item, size in enumerate(options.sizes):
        if item % options.processes != options.process:
            continue
        needs, sources = contested.market(size, size, seed=item, shape=shape)
        cpu, wall = time.process_time(), time.perf_counter()
        solution = _solved(options.method, needs, sources, policy)
        total["cpu"] += time.process_time() - cpu
        total["wall"] += time.perf_counter() - wall
        figures = _figures(solution)
        total["memory"] = peak_mb()
        cpu = time.process_time()
        outcome.explain(solution, contested.RULES)
        total["told"] += time.process_time() - cpu
        for name, value in figures.items():
            if name == "tiers":
                so_far: dict[str, int] = total.setdefault("tiers", {})
                for tier, units in value.items():
                    so_far[tier] = so_far.get(tier, 0) + units
            else:
                total[name] = total.get(name, 0) + value
    print(json.dumps(total))


def measure(method: str, sizes: Sequence[int], *, minimum: float = 0, fairness: str = Fairness.OFF) -> Figures:
    """One process, or two that share the items; the wall clock is that of the slower one."""
    processes = min(2, len(sizes))
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.benchmarks.allocation", "--method", method),
                *("--process", str(process), "--processes", str(processes), "--sizes", *map(str, sizes)),
                *("--minimum", str(minimum), "--fairness", str(fairness)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        for process in range(processes)
    ]
    answers = [json.loads(process.communicate()[0]) for process in running]
    found: Figures = {}
    for name in answers[0]:
        if name == "tiers":
            tiers = sorted({tier for one in answers for tier in one[name]})
            found[name] = {tier: sum(one[name].get(tier, 0) for one in answers) for tier in tiers}
        else:
            together = max if name == "wall" else sum
            found[name] = together(one[name] for one in answers)
    found["gap"] = 1 - found["value"] / found["bound"]
    return found


def show(title: str, found: dict[str, Figures]) -> None:
    exact = found.get(EXACT)
    print(f"\n{title}; load {os.getloadavg()[0]:.1f}")
    columns = f"{'CPU s':>8}{'told':>7}{'wall s':>8}{'MB':>7}{'value':>11}{'gap':>12}{'score':>7}"
    print(f"  {'method':<12}{columns}  units of each tier")
    for method, one in found.items():
        value = f"{one['value'] / exact['value']:.5%}" if exact else f"{one['value']:.3e}"
        gap = f"{one['gap']:.6%}" if one["gap"] else ""
        print(
            f"  {method:<12}{one['cpu']:>8.1f}{one['told']:>7.1f}{one['wall']:>8.1f}{one['memory']:>7.0f}"
            f"{value:>11}{gap:>12}{one['score'] / max(1, one['units']) / 1000:>7.3f}  {list(one['tiers'].values())}",
            flush=True,
        )


def against(what: str, figure: float, target: float, *, most: bool) -> None:
    met = figure <= target if most else figure >= target
    print(f"  {what:<66}{figure:>9.4f}  {'≤' if most else '≥'} {target:<7.5g} {'met' if met else 'NOT MET'}")


def one_item(size: int) -> None:
    found = {method: measure(method, [size]) for method in (GREEDY, EXACT, HUBS, QUICK, CERTIFIED)}
    show(f"One item, {size:,} needs × {size:,} offers", found)
    exact, certified = found[EXACT], found[CERTIFIED]
    for name in (HUBS, QUICK):
        against(f"{name}: value of exact", found[name]["value"] / exact["value"], 0.98, most=False)
        against(f"{name}: CPU time of exact", found[name]["cpu"] / exact["cpu"], 1 / 15, most=True)
        against(f"{name}: memory of exact", found[name]["memory"] / exact["memory"], 0.1, most=True)
    against("certified: gap", certified["gap"], 0.0001, most=True)
    against("certified: CPU time of exact", certified["cpu"] / exact["cpu"], 0.75, most=True)


def many_items(title: str, sizes: Sequence[int], *, at_once: bool) -> None:
    """`decide` looks at every pair in Python: left out where an item is large."""
    methods = (*([AT_ONCE] if at_once else []), GREEDY, EXACT, HUBS, QUICK, USUAL)
    found = {method: measure(method, sizes) for method in methods}
    show(title, found)
    exact, usual, greedy_ = found[EXACT], found[USUAL], found[AT_ONCE if at_once else GREEDY]
    for name in (HUBS, QUICK):
        against(f"{name}: value of exact", found[name]["value"] / exact["value"], 0.99, most=False)
        against(f"{name}: wall time of exact", found[name]["wall"] / exact["wall"], 0.2, most=True)
        against(f"{name}: CPU time of exact", found[name]["cpu"] / exact["cpu"], 0.2, most=True)
    against("exact: value of greedy (no method can be better)", exact["value"] / greedy_["value"], 1.06, most=False)
    against("hubs: value of greedy", found[HUBS]["value"] / greedy_["value"], 1.06, most=False)
    if at_once:
        against("usual: CPU time of greedy (decide)", usual["cpu"] / greedy_["cpu"], 1, most=True)
    against("usual: memory of both processes, MB", usual["memory"], 2048, most=True)


def fair_and_minimum(size: int) -> None:
    exact, fair = measure(EXACT, [size]), measure(CERTIFIED, [size], fairness=Fairness.TIER)
    show(f"Fair within a tier, {size:,} × {size:,} (values of different aims)", {"without": exact, "fair": fair})
    apart = sum(exact["tiers"][tier] != units for tier, units in fair["tiers"].items())
    against("tiers whose totals differ", apart, 0, most=True)
    against("Jain's index in the marginal tier, without", exact["jain"], 0, most=False)
    against("Jain's index in the marginal tier, fair", fair["jain"], 0.7, most=False)
    least = measure(CERTIFIED, [size], minimum=0.5)
    show(f"Minimum orders at half of the offers, {size:,} × {size:,}", {"kept": least})
    against("violations", least["violations"], 0, most=True)
    against("value of the relaxation's bound", least["value"] / least["bound"], 0.995, most=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.allocation", description=__doc__)
    parser.add_argument("--one", type=int, default=10_000, help="needs, and offers, of the one item (10000)")
    parser.add_argument("--many", type=int, default=100_000, help="needs, and offers, of many items (100000)")
    parser.add_argument("--items", type=int, default=200, help="how many items (200)")
    parser.add_argument("--part", type=int, default=3_000, help="for fairness and minimum orders (3000)")
    parser.add_argument("--unequal", action="store_true", help="items of unequal size too: 7 GB and some minutes")
    for name, kind in {"method": str, "process": int, "processes": int, "minimum": float, "fairness": str}.items():
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=int, nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def zipf(size: int, items: int) -> list[int]:
    """Few are wanted by most (Zipf), the largest first."""
    whole = sum(1 / place for place in range(1, items + 1))
    return [round(size / place / whole) for place in range(1, items + 1)]


def run(*, one: int = 10_000, many: int = 100_000, items: int = 200, part: int = 3_000, unequal: bool = False) -> None:
    """A size of 0 leaves a case out."""
    if one:
        one_item(one)
    if many:
        equal = [many // items] * items
        many_items(f"{many:,} × {many:,} over {items} equal items, two processes", equal, at_once=True)
    if many and unequal:
        sizes = zipf(many, items)
        title = f"{many:,} × {many:,} over {items} items of {sizes[0]:,} to {sizes[-1]:,} (Zipf), two processes"
        many_items(title, sizes, at_once=False)
    if part:
        fair_and_minimum(part)


if __name__ == "__main__":
    options = arguments()
    if options.method:
        child(options)
    else:
        run(one=options.one, many=options.many, items=options.items, part=options.part, unequal=options.unequal)
