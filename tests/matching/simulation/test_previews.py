"""Replaying the last days under a draft: real rows, claimed, resumed and kept once."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.core.errors import RuleViolation
from apps.demands.models import Demand
from apps.matching.loading import load_rules
from apps.matching.models import MatchState, Replay, ReplayedNeed, ReplayState
from apps.matching.simulation import previews
from apps.matching.tasks import purge_replays, replay_drafts
from apps.policy.models import Policy, PolicyDraft
from apps.policy.services import discard_draft, draft_policy, put_into_force
from apps.policy.values import PolicyValues
from cosmomatch.celery import app
from tests.factories import DemandFactory, ItemFactory, MatchFactory, OfferFactory, OrganisationFactory, UserFactory

pytestmark = pytest.mark.django_db
FIRMS_FIRST = {"tiers": {"hospital": 1, "health_facility": 2, "enterprise": 3, "community": 4, "supplier": 5}}


@pytest.fixture
def author(db: None) -> User:
    return UserFactory.create()


def two_needs(key: str = "mask.surgical") -> tuple[Demand, Demand]:
    """Of a village and of a firm, posted within one hour, and enough for one of them."""
    item, hour = ItemFactory.create(key=key), timezone.now() - dt.timedelta(days=2)
    village = OrganisationFactory.create(kind=OrganisationKind.COMMUNITY)
    firm = OrganisationFactory.create(kind=OrganisationKind.ENTERPRISE)
    OfferFactory.create(item=item, quantity=1000, published_at=hour - dt.timedelta(days=9))
    return (
        DemandFactory.create(organisation=village, item=item, opened_at=hour),
        DemandFactory.create(organisation=firm, item=item, opened_at=hour),
    )


def preview(draft: PolicyDraft, by: User) -> Replay:
    asked = previews.request_replay(draft, by=by)
    while previews.replay_due():
        pass
    asked.refresh_from_db()
    return asked


def test_the_needs_that_would_have_been_served_otherwise_are_named(author: User) -> None:
    village, firm = two_needs()
    done = preview(draft_policy(FIRMS_FIRST, based_on=1, by=author), author)

    assert (done.state, done.needs, done.differing, done.left_out) == (ReplayState.DONE, 2, 2, 0)
    rows = {row.demand: row for row in done.replayed.all()}
    assert ([part[1] for part in rows[village].before], rows[village].after) == ([1000], [])
    assert (rows[firm].before, [part[1] for part in rows[firm].after]) == ([], [1000])
    assert done.totals["before"]["420106"]["community"]["filled"] == 1
    assert done.totals["after"]["420106"]["community"]["filled"] == 0
    assert {kind: sums["needs"] for kind, sums in done.totals["after"]["420106"].items()} == {
        "community": 1,
        "enterprise": 1,
    }


def test_a_draft_that_changes_nothing_changes_nothing(author: User) -> None:
    two_needs()
    done = preview(draft_policy({}, based_on=1, by=author), author)

    assert (done.state, done.needs, done.differing) == (ReplayState.DONE, 2, 0)
    assert done.totals["before"] == done.totals["after"]


def test_fair_sharing_shows_and_too_large_contests_are_counted(author: User, monkeypatch: pytest.MonkeyPatch) -> None:
    village, _firm = two_needs()
    other = DemandFactory.create(
        organisation=OrganisationFactory.create(kind=OrganisationKind.COMMUNITY),
        item=village.item,
        opened_at=village.opened_at,
    )
    one_by_one = draft_policy({"fairness": "off", "share_cap": 1, "fill_weight": 0}, based_on=1, by=author)

    done = preview(one_by_one, author)
    assert (done.differing, done.apart) == (2, 0)
    rows = {row.demand: row for row in done.replayed.all()}
    assert [part[1] for part in rows[village].before + rows[other].before] == [500, 500]
    assert [part[1] for part in rows[village].after + rows[other].after] == [1000]

    monkeypatch.setattr(previews, "MOST_TOGETHER", 0)
    assert preview(one_by_one, author).apart == 1


def test_only_what_the_replayed_needs_were_promised_is_given_back(author: User) -> None:
    village, firm = two_needs()
    offer = village.item.offers.get()
    MatchFactory.create(
        demand=village, offer=offer, quantity=600, state=MatchState.ACCEPTED, responded_at=timezone.now()
    )
    long_ago = DemandFactory.create(item=village.item, opened_at=timezone.now() - dt.timedelta(days=30))
    MatchFactory.create(
        demand=long_ago, offer=offer, quantity=400, state=MatchState.ACCEPTED, responded_at=timezone.now()
    )

    done = preview(draft_policy(FIRMS_FIRST, based_on=1, by=author), author)

    [[_offer, quantity, _hours]] = ReplayedNeed.objects.get(demand=firm).after
    assert (done.needs, quantity) == (2, 600)


def test_a_supplier_that_said_no_says_no_again(author: User) -> None:
    village, firm = two_needs()
    offer = village.item.offers.get()
    MatchFactory.create(
        demand=firm, offer=offer, state=MatchState.DECLINED, decline_reason="gone", responded_at=timezone.now()
    )

    done = preview(draft_policy(FIRMS_FIRST, based_on=1, by=author), author)

    assert done.totals["after"]["420106"]["enterprise"]["filled"] == 0
    [row] = done.replayed.all()
    assert (row.demand, row.after[0][1], row.before[0][2] < row.after[0][2]) == (village, 1000, True)


def test_who_gave_less_gives_as_much_again(author: User) -> None:
    _village, firm = two_needs()
    MatchFactory.create(
        demand=firm, offer=firm.item.offers.get(), quantity=300, quantity_asked=1000, state=MatchState.ACCEPTED,
        responded_at=timezone.now(),
    )  # fmt: skip

    preview(draft_policy(FIRMS_FIRST, based_on=1, by=author), author)

    assert [part[1] for part in ReplayedNeed.objects.get(demand=firm).after] == [300]


def test_a_supplier_that_said_no_and_then_yes_says_yes(author: User) -> None:
    _village, firm = two_needs()
    offer, now = firm.item.offers.get(), timezone.now()
    MatchFactory.create(demand=firm, offer=offer, state=MatchState.DECLINED, decline_reason="other", responded_at=now)
    MatchFactory.create(demand=firm, offer=offer, quantity=1000, state=MatchState.ACCEPTED, responded_at=now)

    preview(draft_policy(FIRMS_FIRST, based_on=1, by=author), author)

    assert [part[1] for part in ReplayedNeed.objects.get(demand=firm).after] == [1000]


def test_a_replay_is_queued_once_and_never_for_a_closed_draft(author: User) -> None:
    draft = draft_policy({}, based_on=1, by=author)
    assert previews.request_replay(draft, by=author) == previews.request_replay(draft, by=author)
    discard_draft(draft, by=author)
    with pytest.raises(RuleViolation, match="not open"):
        previews.request_replay(draft, by=author)


def test_a_draft_that_was_discarded_after_it_was_read_is_not_replayed(author: User) -> None:
    as_read = draft_policy({}, based_on=1, by=author)
    discard_draft(PolicyDraft.objects.get(), by=author)

    with pytest.raises(RuleViolation, match="not open"):
        previews.request_replay(as_read, by=author)
    assert not Replay.objects.exists()


def test_a_worker_that_dies_loses_one_group_and_another_goes_on(author: User) -> None:
    two_needs()
    two_needs("gown")
    asked = previews.request_replay(draft_policy(FIRMS_FIRST, based_on=1, by=author), by=author)
    assert previews.replay_due(seconds=-1)  # its time was over before the first group
    dead = previews._claim(timezone.now())
    assert dead is not None
    assert dead.groups_in_all == 2

    assert not previews.replay_due(), "somebody is at work on it"
    previews.replay_due(now=timezone.now() + previews.LEASE * 1.01)

    asked.refresh_from_db()
    assert (asked.state, asked.groups_done, asked.needs, asked.differing) == (ReplayState.DONE, 2, 4, 4)


def test_what_a_worker_brings_that_lost_its_claim_is_not_kept(author: User) -> None:
    """Another is at work on the same group by then, or has done it."""
    two_needs()
    two_needs("gown")
    asked = previews.request_replay(draft_policy(FIRMS_FIRST, based_on=1, by=author), by=author)
    assert previews.replay_due(seconds=-1)  # its groups are known
    rules, values = load_rules(), [previews.values_of(1), PolicyValues.from_json(FIRMS_FIRST)]
    slow = previews._claim(timezone.now())
    other = previews._claim(timezone.now() + previews.LEASE * 1.01)
    assert slow is not None
    assert other is not None

    def brings(worker: Replay) -> tuple[bool, int, int]:
        kept = previews._replay_group(worker, rules, *values)
        asked.refresh_from_db()
        return kept, asked.groups_done, asked.replayed.count()

    assert brings(slow) == (False, 0, 0)
    assert brings(other) == (True, 1, 2)
    assert brings(slow) == (False, 1, 2)
    assert brings(other) == (True, 2, 4)


def test_a_replay_that_kills_its_workers_is_given_up(author: User) -> None:
    asked = previews.request_replay(draft_policy({}, based_on=1, by=author), by=author)
    later = timezone.now()
    for _i in range(previews.ATTEMPTS):
        assert previews._claim(later) is not None
        later += previews.LEASE * 2

    assert previews._claim(later) is None
    asked.refresh_from_db()
    assert asked.state == ReplayState.FAILED


def test_a_group_that_takes_too_long_is_tried_again_with_its_newest_needs(
    author: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours in range(1, 7):
        DemandFactory.create(opened_at=timezone.now() - dt.timedelta(hours=hours))
    OfferFactory.create()
    monkeypatch.setattr(previews, "MOST_PAIRS", 8)
    asked = previews.request_replay(draft_policy({}, based_on=1, by=author), by=author)
    later = timezone.now()
    assert previews._claim(later) is not None  # and stopped, as its time was over

    previews.replay_due(now=later + previews.LEASE * 1.01)

    asked.refresh_from_db()
    assert (asked.state, asked.needs, asked.left_out) == (ReplayState.DONE, 2, 4)


def test_what_is_left_for_later_is_not_taken_for_too_much(author: User, monkeypatch: pytest.MonkeyPatch) -> None:
    two_needs()
    two_needs("gown")
    monkeypatch.setattr(previews, "MOST_PAIRS", 2)
    asked = previews.request_replay(draft_policy({}, based_on=1, by=author), by=author)
    for _i in range(previews.ATTEMPTS + 1):
        assert previews.replay_due(seconds=-1)

    previews.replay_due()

    asked.refresh_from_db()
    assert (asked.state, asked.needs, asked.left_out) == (ReplayState.DONE, 4, 0)


def test_nobody_else_is_at_a_group_while_a_task_may_still_run() -> None:
    assert previews.LEASE.total_seconds() > app.conf.task_annotations[replay_drafts.name]["time_limit"]


def test_what_is_long_over_is_forgotten_and_what_became_a_version_is_not(author: User) -> None:
    two_needs()
    discarded, enforced, opened = (draft_policy({"standbys": count}, based_on=1, by=author) for count in (4, 5, 6))
    for draft in (discarded, enforced, opened):
        preview(draft, author)
    waiting = previews.request_replay(draft_policy({"standbys": 7}, based_on=1, by=author), by=author)
    discard_draft(discarded, by=author)
    put_into_force(enforced, note="Five", by=author)

    nearly = timezone.now() + previews.KEEP - dt.timedelta(hours=1)
    assert previews.purge(now=nearly) == {"replays": 0, "drafts": 0}
    assert previews.purge(now=nearly + dt.timedelta(hours=2)) == {"replays": 3, "drafts": 1}

    assert list(Replay.objects.all()) == [waiting]
    assert set(PolicyDraft.objects.exclude(pk=waiting.draft_id)) == {enforced, opened}
    assert Policy.objects.current().values.standbys == 5


def test_a_discarded_draft_takes_its_replays_along(author: User) -> None:
    draft = draft_policy({}, based_on=1, by=author)
    previews.request_replay(draft, by=author)
    discard_draft(draft, by=author)

    purge_replays()
    assert Replay.objects.count() == 1
    assert previews.purge(now=timezone.now() + previews.KEEP * 1.01)["drafts"] == 1
    assert Replay.objects.count() == 0


def test_the_newest_needs_are_replayed_and_the_others_counted(author: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (1, 2, 3, 4):
        DemandFactory.create(opened_at=timezone.now() - dt.timedelta(days=days))
    OfferFactory.create()
    draft = draft_policy({}, based_on=1, by=author)

    monkeypatch.setattr(previews, "MOST_NEEDS", 3)
    done = preview(draft, author)
    assert (done.needs, done.left_out) == (3, 1)
    assert done.since > timezone.now() - dt.timedelta(days=4)

    monkeypatch.setattr(previews, "MOST_PAIRS", 2)
    done = preview(draft, author)
    assert (done.needs, done.left_out) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_workers_side_by_side_keep_each_group_once(author: User) -> None:
    for number in range(4):
        two_needs(f"item{number}")
    asked = previews.request_replay(draft_policy(FIRMS_FIRST, based_on=1, by=author), by=author)

    def work(_number: int) -> None:
        try:
            while previews.replay_due(seconds=0.01):
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    replay_drafts()

    asked.refresh_from_db()
    assert (asked.state, asked.groups_done, asked.needs, asked.differing) == (ReplayState.DONE, 4, 8, 8)
    assert asked.replayed.count() == 8
