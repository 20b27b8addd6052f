"""A trial quantity: what a need of unknown quantity takes where its trial lot reaches no minimum order."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from apps.demands import quantities as demands_quantities
from apps.demands.models import Demand
from apps.matching.scoring.eligibility import fit_of
from apps.matching.scoring.facts import Fit, Need, Rules
from apps.matching.scoring.ranking import Ranked
from apps.matching.search.best import load_shortlists
from apps.policy.models import Policy
from apps.supply.models import Offer


def raise_trials(
    demands: Collection[Demand],
    needs: Sequence[Need],
    shortlists: Mapping[int, Ranked],
    rules: Rules,
    policy: Policy,
    now: dt.datetime,
) -> set[int]:
    """Have needs without a candidate take a minimum order that is plausible for their body; returns which.

    The search itself says what would fit: it is asked again for the most that is plausible. All that it then finds was
    kept back by its minimum order alone. Of the best that it finds, the least minimum order is taken. Everybody reads
    the quantity from the need, so all paths decide alike.
    """
    known = {demand.pk: demand for demand in demands if demand.quantity is None and not demand.quantity_covered}
    wider, lots = [], {}
    for need in needs:
        demand = known.get(need.id)
        if demand is None or len(shortlists[need.id].candidates):
            continue
        most = policy.values.most_plausible(demand.organisation.kind, demand.item.trial_lot)
        if most > need.remaining:
            wider.append(replace(need, target=most, remaining=most))
            lots[need.id] = need.remaining
    wider = _kept_back_by_minimum(wider, lots, rules)
    if not wider:
        return set()
    found = load_shortlists(wider, rules, policy, now)
    least = {
        need.id: min(source.minimum_order for source in found[need.id].candidates.known_sources())
        for need in wider
        if len(found[need.id].candidates)
    }
    demands_quantities.try_quantities(least)
    for need_id, quantity in least.items():
        known[need_id].trial_quantity = quantity
    return set(least)


def _kept_back_by_minimum(wider: Sequence[Need], lots: Mapping[int, int], rules: Rules) -> list[Need]:
    """The needs for which some goods fit whose minimum order lies between their trial lot and what is plausible.

    One query for all. The search costs one for each need, which a crowd without hope would pay at every sweep.
    """
    if not wider:
        return []
    items = {need.id: rules.offered_for(need.item_id, accepts_substitutes=need.accepts_substitutes) for need in wider}
    known = (
        Offer.objects.published()
        .filter(item__in=set().union(*items.values()), minimum_order__gt=min(lots.values()))
        .values_list("item_id", "standard_id", "minimum_order")
        .order_by()
        .distinct()
    )
    goods = list(known)
    return [
        need
        for need in wider
        if any(
            lots[need.id] < minimum <= need.remaining and isinstance(fit_of(need, item, standard, rules), Fit)
            for item, standard, minimum in goods
            if item in items[need.id]
        )
    ]
