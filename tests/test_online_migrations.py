"""Migrations since the last release suit a site that runs: no long lock, and the version before goes on with them."""

import gzip
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests import releases

EXCEPTIONS: Final = {
    "accounts.0004_invitations: default_organisation of user makes an index under a lock": "some 100,000 rows",
    "accounts.0007_merged_organisations: merged_into of organisation makes an index under a lock": "the same",
    "accounts.0008_remember_invitations: invitation of membership makes an index under a lock": "the same",
    "matching.0004_escalations_of_offers: offer of escalation makes an index under a lock": "the column is empty",
    "matching.0004_escalations_of_offers: escalation_of_offer_once locks its table": "the column is empty",
    "demands.0004_tune_for_vacuum: RunSQL": "a setting of the table, for which no reader or writer waits",
    "notifications.0003_tune_for_vacuum: RunSQL": "the same",
    "supply.0004_tune_for_vacuum: RunSQL": "the same",
    "matching.0005_level_of_escalation: RunSQL": "needs that are escalated now, which coordinators read one by one",
    "supply.0009_clock_of_review: RunSQL": "no offer waits: its states came with this version",
}

Table = tuple[str, str]


def released() -> set[tuple[str, str]]:
    """The migrations of our apps that the dump of the last release tells of."""
    dump = gzip.decompress(releases.path_of(releases.all_versions()[-1]).read_bytes()).decode()
    rows = dump.partition("INSERT INTO public.django_migrations VALUES")[2].partition(";\n")[0]
    return set(re.findall(r"\(\d+, '(\w+)', '(\w+)'", rows))


def faults(migration: migrations.Migration, state: ProjectState, old: set[Table]) -> Iterator[str]:
    """What the site or the version before would suffer from. `old` are the tables of the last release.

    Advances `state` to what the migration makes of it.
    """
    app = migration.app_label
    unvalidated: set[str] = set()
    for operation in migration.operations:
        done = (
            operation.database_operations if isinstance(operation, migrations.SeparateDatabaseAndState) else [operation]
        )
        for one in done:
            if isinstance(one, AddConstraintNotValid):
                unvalidated.add(one.constraint.name)
            elif isinstance(one, ValidateConstraint) and one.name in unvalidated:
                yield f"{one.name} is validated by the migration that adds it, which keeps the lock"
            alone = isinstance(one, AddIndexConcurrently | RemoveIndexConcurrently | ValidateConstraint)
            if not migration.atomic and not alone:
                yield f"{type(one).__name__} waits for locks without a limit, as the migration is not atomic"
            yield from _faults_of(one, app, state, old)
        operation.state_forwards(app, state)


def _faults_of(one: Operation, app: str, state: ProjectState, old: set[Table]) -> Iterator[str]:
    name = str(getattr(one, "model_name", "") or getattr(one, "name", "")).lower()
    if isinstance(one, migrations.RunSQL | migrations.RunPython):
        yield type(one).__name__
    elif isinstance(one, migrations.RenameModel):
        yield f"{one.old_name} is renamed"
    elif (app, name) in old:
        yield from _faults_in_old(one, app, name, state)


def _faults_in_old(one: Operation, app: str, name: str, state: ProjectState) -> Iterator[str]:
    if isinstance(one, migrations.DeleteModel | migrations.AlterModelTable | migrations.RemoveField):
        yield f"{name} loses what the version before uses: {type(one).__name__}"
    elif isinstance(one, migrations.RenameField):
        yield f"{one.old_name} of {name} is renamed"
    elif isinstance(one, migrations.AddIndex) and not isinstance(one, AddIndexConcurrently):
        yield f"{one.index.name} is made under a lock"
    elif isinstance(one, migrations.AddConstraint) and not isinstance(one, AddConstraintNotValid):
        yield f"{one.constraint.name} locks its table"
    elif isinstance(one, migrations.AddField):
        yield from _faults_of_column(one.name, name, one.field)
    elif isinstance(one, migrations.AlterField):
        was = state.models[app, name].fields[one.name]
        if _type(was) != _type(one.field):
            yield f"{one.name} of {name} becomes another type, which writes the table anew"
        if was.null and not one.field.null:
            yield f"{one.name} of {name} may not be null any more, which reads the table under a lock"


def _type(field: Any) -> str:
    return "key" if field.is_relation else str(field.db_parameters(connection)["type"])


def _faults_of_column(column: str, table: str, field: Any) -> Iterator[str]:
    if not field.null and not field.has_db_default():
        yield f"{column} of {table} has no `db_default`, so the version before cannot add rows"
    if field.db_index or field.unique:
        yield f"{column} of {table} makes an index under a lock"


def test_new_migrations_stop_nobody_and_suit_the_version_before() -> None:
    known = released()
    loader = MigrationLoader(None)
    plan = [key for key in _in_order(loader) if type(loader.disk_migrations[key]).__module__.startswith("apps.")]
    state = loader.project_state([key for key in loader.disk_migrations if key in known])
    old = set(state.models)

    found = []
    for key in plan:
        if key not in known:
            migration = loader.disk_migrations[key]
            found += [f"{key[0]}.{key[1]}: {fault}" for fault in faults(migration, state, old)]

    assert sorted(found) == sorted(EXCEPTIONS)


def test_every_constraint_is_validated_in_the_end() -> None:
    loader = MigrationLoader(None)
    added, validated = set(), set()
    for key in _in_order(loader):
        for one in loader.disk_migrations[key].operations:
            if isinstance(one, AddConstraintNotValid):
                added.add(one.constraint.name)
            elif isinstance(one, ValidateConstraint):
                validated.add(one.name)
    assert added == validated


def _in_order(loader: MigrationLoader) -> list[tuple[str, str]]:
    plan: list[tuple[str, str]] = []
    for leaf in loader.graph.leaf_nodes():
        plan += [key for key in loader.graph.forwards_plan(leaf) if key not in plan]
    return plan


INDEX: Final = models.Index(fields=["state"], name="new_index")
CHECK: Final = models.CheckConstraint(condition=models.Q(score__gte=0), name="new_check")


@pytest.fixture(scope="module")
def now() -> ProjectState:
    return MigrationLoader(None).project_state()


@pytest.mark.parametrize(
    ("operations", "atomic", "fault"),
    [
        ([migrations.AddIndex("match", INDEX)], True, "new_index is made under a lock"),
        ([AddIndexConcurrently("match", INDEX)], False, None),
        ([migrations.AddConstraint("match", CHECK)], True, "new_check locks its table"),
        ([AddConstraintNotValid("match", CHECK)], True, None),
        ([AddConstraintNotValid("match", CHECK), ValidateConstraint("match", "new_check")], True, "validated by the"),
        ([AddConstraintNotValid("match", CHECK)], False, "waits for locks without a limit"),
        ([migrations.AddField("match", "colour", models.TextField(default=""))], True, "has no `db_default`"),
        ([migrations.AddField("match", "colour", models.TextField(db_default=""))], True, None),
        ([migrations.AddField("match", "colour", models.TextField(null=True, db_index=True))], True, "makes an index"),
        ([migrations.RemoveField("match", "score")], True, "loses what the version before uses"),
        ([migrations.RenameField("match", "score", "points")], True, "score of match is renamed"),
        ([migrations.RenameModel("match", "pair")], True, "match is renamed"),
        ([migrations.AlterField("match", "rank", models.TextField())], True, "becomes another type"),
        ([migrations.AlterField("match", "respond_by", models.DateTimeField())], True, "may not be null any more"),
        ([migrations.RunSQL("UPDATE matching_match SET rank = 1")], True, "RunSQL"),
    ],
)
def test_each_rule_finds_what_breaks_it(
    now: ProjectState, operations: list[Operation], atomic: bool, fault: str | None
) -> None:
    made = type("Migration", (migrations.Migration,), {"operations": operations, "atomic": atomic})
    migration = made("9999_new", "matching")
    state = now.clone()

    found = list(faults(migration, state, set(state.models)))

    assert len(found) == (fault is not None)
    assert all(str(fault) in one for one in found)
