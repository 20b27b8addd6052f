-- Notes in the audit trail that a row was added, changed or removed. Triggers call it (apps/core/triggers.py):
--
-- noun           the event is `noun.added`, `noun.changed` or `noun.removed`
-- target_type    the kind of row that the entry is about, such as accounts.user
-- target_column  the column that holds the key of that row
-- labels         columns that every entry names, so that a reader knows what was changed
-- columns        columns whose change is noted, with both values
-- before, after  the row; before is null for a new one, and after for a removed one
--
-- The program says who acts in the setting `cosmomatch.actor` (apps/core/audit.py). It is empty when the platform itself
-- acts, or somebody in the database.
CREATE FUNCTION audit_change(
    noun text, target_type text, target_column text, labels text[], columns text[], before jsonb, after jsonb
) RETURNS void
LANGUAGE sql
AS $$
    INSERT INTO core_auditentry (actor_id, event, target_type, target_id, data)
    SELECT
        nullif(current_setting('cosmomatch.actor', true), '')::bigint,
        noun || CASE WHEN before IS NULL THEN '.added' WHEN after IS NULL THEN '.removed' ELSE '.changed' END,
        target_type,
        coalesce(after, before) ->> target_column,
        (SELECT coalesce(jsonb_object_agg(name, coalesce(after, before) -> name), '{}') FROM unnest(labels) AS name)
            || CASE WHEN before IS NULL THEN '{}' ELSE jsonb_build_object('from', coalesce(change.old, '{}')) END
            || CASE WHEN after IS NULL THEN '{}' ELSE jsonb_build_object('to', coalesce(change.new, '{}')) END
    FROM (
        -- That a password changed is noted, and no value of it.
        SELECT
            jsonb_object_agg(name, CASE WHEN name <> 'password' THEN before -> name END) AS old,
            jsonb_object_agg(name, CASE WHEN name <> 'password' THEN after -> name END) AS new
        FROM unnest(columns) AS name
        WHERE before -> name IS DISTINCT FROM after -> name
    ) AS change
    -- An update that sets the same values again changes nothing.
    WHERE before IS NULL OR after IS NULL OR change.new IS NOT NULL
$$;
