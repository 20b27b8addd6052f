"""What `manage.py anonymise` makes of each column: a dump of production becomes data for a test system.

A number, a time, a yes or no, the key of another row and a choice out of a list stay. So do the columns in `KEPT`.
Every other column is replaced, a new one too. A test fails until a new column stands in `KEPT`, in `REPLACED`, or its
table in `EMPTIED` (tests/ops/test_anonymise.py).
"""

import shutil
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection, models, transaction

# Nobody's: `.invalid` resolves nowhere (RFC 2606).
DOMAIN: Final = "anonymous.invalid"

# Words of the program and of the catalogue, codes of places and currencies, and JSON that holds numbers and such codes.
KEPT: Final = {
    "accounts.Organisation": "announced_state",
    "accounts.User": "time_zone",
    "auth.Permission": "name codename",
    "catalogue.Category": "name_zh name_en key",
    "catalogue.Item": "name_zh name_en key device_categories codes",
    "catalogue.ItemAlias": "text",
    "catalogue.Pack": "name_zh name_en",
    "catalogue.Region": "code name name_en path",
    "catalogue.Standard": "code title_zh title_en grade attributes",
    "catalogue.Substitution": "note_zh note_en",
    "catalogue.Unit": "name_zh name_en code symbol",
    "contenttypes.ContentType": "app_label model",
    "core.AuditEntry": "event target_type target_id",
    "demands.Demand": "reference",
    "duplicates.DuplicateProposal": "findings",
    "duplicates.OrganisationMerge": "moved suspended",
    "exports.Publication": "sums behind",
    "exports.RegionSums": "path sums",
    "exports.Tombstone": "dataset region",
    "fulfilment.Order": "currency",
    "matching.Escalation": "tried",
    "matching.IndexCell": "city",
    "matching.IndexedOffer": "city",
    "matching.Lever": "cause",
    "matching.Match": "packed_terms terms_before",
    "matching.ReferencePrice": "currency",
    "matching.Replay": "settings groups totals",
    "matching.ReplayedNeed": "before after",
    "matching.Shortfall": "because",
    "policy.Policy": "settings",
    "policy.PolicyDraft": "settings",
    "supply.Offer": "currency ships_to",
}

# Read by the test alone: whatever is not kept is replaced.
REPLACED: Final = {
    "account.EmailAddress": "email",
    "accounts.Organisation": (
        "name identifier address contact_name contact_phone contact_email state_reason call_back source source_key"
    ),
    "accounts.User": "password email name phone",
    "auth.Group": "name",
    "core.AuditEntry": "data",
    "desk.DeskNote": "text",
    "demands.Demand": "state_note source source_key address contact_name contact_phone note",
    "duplicates.DuplicateProposal": "note reason",
    "duplicates.OrganisationMerge": "note before",
    "fulfilment.Delivery": "reason",
    "fulfilment.Order": "state_reason",
    "fulfilment.Shipment": "carrier tracking_number",
    "matching.Match": "decline_note",
    "policy.Policy": "note",
    "reports.AbuseReport": "note decision was_called_back appeal appeal_decision",
    "supply.Offer": "state_note source source_key certificate_number note",
}

# Secrets, documents, what was told to people or typed by them, and what the program makes anew by itself.
EMPTIED: Final = (
    "account.EmailConfirmation",
    "accounts.ApiToken",
    "accounts.Evidence",
    "accounts.Invitation",
    "accounts.PendingNotice",
    "admin.LogEntry",
    "api.IdempotencyKey",
    "duplicates.OrganisationKey",
    "matching.LeverPull",
    "mfa.Authenticator",
    "notifications.Message",
    "notifications.Notification",
    "notifications.UsedLink",
    "notifications.WebhookEndpoint",
    "sessions.Session",
    "supply.SheetImport",
    "usersessions.UserSession",
)

# The SQL of columns that have to be valid, or to tell rows apart. `%(password)s` is a hash.
_SPECIAL: Final = {
    "account.EmailAddress.email": (
        f"""'person-' || user_id || CASE WHEN "primary" THEN '' ELSE '-' || id END || '@{DOMAIN}'"""
    ),
    # Names that differ in a number alone would be put before the desk as duplicates.
    "accounts.Organisation.name": "id || ' ' || left(md5(id::text), 12)",
    "accounts.Organisation.contact_email": (
        f"CASE WHEN contact_email <> '' THEN 'organisation-' || id || '@{DOMAIN}' ELSE '' END"
    ),
    "accounts.User.email": f"'person-' || id || '@{DOMAIN}'",
    "accounts.User.password": "CASE WHEN left(password, 1) = '!' THEN '!' ELSE %(password)s END",
    "accounts.User.phone": "''",  # a gateway might send a text message to anything else
    # Keys of rows, such as whom an organisation took in: whoever was ever a member does not verify it.
    "core.AuditEntry.data": """
        (SELECT coalesce(jsonb_object_agg(name, value), '{}') FROM jsonb_each(data) AS known (name, value)
        WHERE jsonb_typeof(value) IN ('number', 'boolean'))
    """,
}

_NO_TEXT: Final = (
    models.BooleanField,
    models.DateField,  # and times
    models.DecimalField,
    models.DurationField,
    models.FloatField,
    models.IntegerField,
    models.UUIDField,
)
Column = models.Field[Any, Any]


def anonymise(password: str, *, say: Callable[[str], object]) -> None:
    """Replace and empty, in a transaction for each table; then delete all documents and mails.

    Who can log in gets `password`. Safe to repeat: a run that was stopped is begun again. PostgreSQL works within its
    tables, so no row is in memory. Raises what the database raises if the role may not pass over triggers.
    """
    emptied = [apps.get_model(label) for label in EMPTIED]
    pointing = [field for model in emptied for field in _pointing_at(model, but=emptied)]
    for field in pointing:
        _execute(f"UPDATE {_quoted(field.model._meta.db_table)} SET {_quoted(field.column)} = NULL")  # noqa: S608  # ours
    # In one statement: with TRUNCATE, tables that point at each other go together, and nothing may point at them.
    pointed_at = {field.related_model for field in pointing}
    tables = ", ".join(_quoted(model._meta.db_table) for model in emptied if model not in pointed_at)
    _execute(f"TRUNCATE {tables}")
    for model in emptied:
        if model in pointed_at:
            _execute(f"DELETE FROM {_quoted(model._meta.db_table)}")  # noqa: S608  # ours
    say(f"{len(emptied)} tables were emptied.")

    values = {"password": make_password(password)}
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy or model in emptied:
            continue
        changes = ", ".join(f"{_quoted(field.column)} = {_replacement(field)}" for field in _replaced(model))
        if changes:
            rows = _execute(f"UPDATE {_quoted(model._meta.db_table)} SET {changes}", values)  # noqa: S608  # ours
            say(f"{model._meta.label}: {rows} rows")

    # Documents, and mails that were caught instead of sent.
    for folder in (settings.MEDIA_ROOT, settings.VAR_DIR / "mail"):
        if folder.exists():
            shutil.rmtree(folder)


def _pointing_at(
    model: type[models.Model], *, but: list[type[models.Model]]
) -> Iterator["models.ForeignKey[Any, Any]"]:
    """The columns of other tables that hold keys of this one."""
    for relation in model._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ManyToOneRel) and relation.related_model not in but:
            yield relation.field


def _execute(statement: str, values: dict[str, str] | None = None) -> int:
    # The ORM knows no way past triggers: they refuse changes of the audit trail, note changes, and renew times.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        rows: int = cursor.rowcount
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        return rows


def _replaced(model: type[models.Model]) -> Iterator[Column]:
    kept = KEPT.get(model._meta.label, "").split()
    for field in model._meta.local_concrete_fields:
        is_text = not isinstance(getattr(field, "base_field", field), _NO_TEXT)
        if is_text and not (field.generated or field.is_relation or field.choices or field.name in kept):
            yield field


def _replacement(field: Column) -> str:
    """What is empty stays so, as constraints ask for it. All else names its row: no text stands twice in a table."""
    meta = field.model._meta
    if special := _SPECIAL.get(f"{meta.label}.{field.name}"):
        return special
    if not isinstance(field, models.CharField | models.TextField):
        return "'{}'"  # an empty object of JSON, or an empty array
    column, key = _quoted(field.column), _quoted(meta.pk.column)
    text = f"left('{meta.model_name} ' || {key}, {min(field.max_length or 100, 100)})"
    return f"CASE WHEN {column} <> '' THEN {text} ELSE {column} END"


def _quoted(name: str | None) -> str:
    assert name is not None  # only fields without a column have none
    return connection.ops.quote_name(name)
