-- Takes back matches of the present statement whose stock went between looking and taking. `matching_hold` and
-- `matching_hold_one` call it. It returns nothing.
--
-- refused  primary keys of matches; the caller has locked their needs
--
-- A match that this statement wrote was seen by nobody and is deleted. A match that was a backup before may have been
-- exported to partners. It is superseded, so that they hear of it. No supplier has been asked in either case.
CREATE FUNCTION matching_take_back(refused bigint[]) RETURNS void LANGUAGE sql AS $$
    WITH deleted AS (
        DELETE FROM matching_match WHERE id = ANY (refused) AND created_at = statement_timestamp()
        RETURNING demand_id, quantity
    ),
    superseded AS (
        UPDATE matching_match SET state = 'superseded', respond_by = NULL
        WHERE id = ANY (refused) AND created_at <> statement_timestamp()
        RETURNING demand_id, quantity
    ),
    less AS (
        SELECT demand_id, sum(quantity) AS quantity
        FROM (SELECT demand_id, quantity FROM deleted UNION ALL SELECT demand_id, quantity FROM superseded) gone
        GROUP BY demand_id
    )
    UPDATE demands_open need SET quantity_held = need.quantity_held - less.quantity
    FROM less WHERE less.demand_id = need.id;
$$;
