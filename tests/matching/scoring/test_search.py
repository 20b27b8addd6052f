"""The database search finds the best offers by terms that it does not know, too: exact at once, quick later."""

from typing import Any

import pytest

from apps.matching.loading import load_rules, load_sources
from apps.matching.scoring import terms
from apps.matching.scoring.ranking import rank
from apps.matching.search import offer_index
from apps.matching.search.best import load_shortlists
from apps.policy.models import Policy
from tests.matching.scoring.test_terms import OLD, _even, _of_pair, _of_source, weighing_it
from tests.matching.search.test_best import World

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("formula", [_of_source, _of_pair], ids=["of the source", "of the pair"])
def test_the_best_of_the_database_are_the_best_by_a_new_term(formula: Any) -> None:
    """Under a policy from before the term, and under one that weighs it."""
    world = World(seed=3)
    rules = load_rules()
    with terms.added(_even(formula)):
        for version, settings in ((2, OLD), (3, weighing_it().to_json())):
            policy = Policy.objects.create(version=version, settings=settings)
            offer_index.index_offers(now=(now := policy.created_at))
            for number in range(8):
                need = world.need(number)
                items = rules.offered_for(need.item_id, accepts_substitutes=need.accepts_substitutes)
                sources = load_sources(items, now, policy.values)
                by_all = rank(need, sources, rules, policy=policy.values, now=now).candidates
                shortlist = load_shortlists([need], rules, policy, now, best=5)[need.id].candidates
                found = [source.id for source in shortlist.known_sources()]
                assert found == [candidate.source.id for candidate in by_all[: len(found)]]
                assert shortlist.whole or len(found) >= 5
