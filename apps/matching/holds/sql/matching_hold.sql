-- Commits the holds of a plan. `commit_holds` (holds/commit.py) calls it in its caller's transaction.
--
-- requests  JSON list of `matching_hold_request`, in the order of the plan
-- needs     keys of the needs that the requests are about
-- offers    keys of the offers that the requests are about
--
-- It returns one row for each match that it wrote: need_id, offer_id and match_id are primary keys. A request without
-- a row was not admitted: its need or offer changed, or others have taken what it wanted. All quantities are in base
-- units of the item.
--
-- Requests are admitted by running sums in the order of the plan. Needs and matches, which few others want, are locked
-- first and the offers last. So whoever waits for a hot offer waits for little more than a commit.
--
-- It is SQL, because looking, writing and counting are then one round trip, and its plans are made once for a
-- connection: docs/decisions/0017-a-plan-is-one-call.md.
CREATE FUNCTION matching_hold(requests jsonb, needs bigint[], offers bigint[])
RETURNS TABLE (need_id bigint, offer_id bigint, match_id bigint) LANGUAGE plpgsql
-- Plans are kept, and are made when tables may be empty: these settings are good at any size.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    -- Of the offers, as first looked at: keys, confirmations and what was free, in one order.
    seen bigint[];
    confirmed timestamptz[];
    free_then bigint[];
    -- Of the matches that were written, in one order.
    made bigint[];
    of_needs bigint[];
    of_offers bigint[];
    quantities bigint[];
    refused bigint[];
BEGIN
    SELECT array_agg(offer.id), array_agg(offer.confirmed_at), array_agg(offer.free)
    INTO seen, confirmed, free_then
    FROM supply_published offer WHERE offer.id = ANY (offers);

    WITH need AS MATERIALIZED (
        SELECT id, requested_at, remaining FROM demands_open
        WHERE id = ANY (needs) ORDER BY id FOR NO KEY UPDATE
    ),
    -- What is still as it was decided on. The sums run in the order of the plan, so the first that fit are admitted.
    admissible AS (
        SELECT
            request.*, need.remaining, offer.free,
            sum(request.quantity) OVER (PARTITION BY request.need_id ORDER BY request.position) AS of_need,
            sum(request.quantity) OVER (PARTITION BY request.offer_id ORDER BY request.position) AS of_offer
        FROM jsonb_populate_recordset(NULL::matching_hold_request, requests) request
        JOIN need ON need.id = request.need_id AND need.requested_at IS NOT DISTINCT FROM request.requested_at
        JOIN unnest(seen, confirmed, free_then) AS offer (id, confirmed_at, free)
            ON offer.id = request.offer_id AND offer.confirmed_at IS NOT DISTINCT FROM request.confirmed_at
    ),
    -- A pair that is a backup is promoted; one that is held already is left alone.
    written AS (
        INSERT INTO matching_match AS match (
            demand_id, offer_id, quantity, quantity_asked, rank, score, packed_terms, policy_version, is_substitute, tier,
            respond_by, state, decline_reason, decline_note
        )
        SELECT
            need_id, offer_id, quantity, quantity, rank, score, terms, policy_version, is_substitute, tier,
            respond_by, 'held', '', ''
        FROM admissible
        WHERE of_need <= remaining AND of_offer <= free
        ORDER BY position
        ON CONFLICT (demand_id, offer_id) WHERE state IN ('held', 'standby') DO UPDATE SET
            state = excluded.state, quantity = excluded.quantity, quantity_asked = excluded.quantity_asked,
            rank = excluded.rank, score = excluded.score, packed_terms = excluded.packed_terms,
            policy_version = excluded.policy_version, is_substitute = excluded.is_substitute, tier = excluded.tier,
            respond_by = excluded.respond_by
        WHERE match.state = 'standby'
        RETURNING id, demand_id, offer_id, quantity
    ),
    -- Counts what was written, not what was admitted.
    counted AS (
        UPDATE demands_open need
        SET quantity_held = need.quantity_held + more.quantity, updated_at = clock_timestamp()
        FROM (SELECT demand_id, sum(quantity) AS quantity FROM written GROUP BY demand_id) more
        WHERE more.demand_id = need.id
    )
    SELECT array_agg(id), array_agg(demand_id), array_agg(offer_id), array_agg(quantity)
    INTO made, of_needs, of_offers, quantities
    FROM written;

    -- From here to the commit others wait: what can be checked without the offers is checked before.
    SET CONSTRAINTS match_demand_exists, match_responded_by_exists IMMEDIATE;

    WITH offered AS MATERIALIZED (
        SELECT id, confirmed_at, free FROM supply_published
        WHERE id = ANY (of_offers) ORDER BY id FOR NO KEY UPDATE
    ),
    taken AS MATERIALIZED (
        SELECT
            held.id, held.offer_id, held.quantity,
            sum(held.quantity) OVER (PARTITION BY held.offer_id ORDER BY held.position) <= unchanged.free AS fits
        FROM unnest(made, of_offers, quantities) WITH ORDINALITY AS held (id, offer_id, quantity, position)
        LEFT JOIN (
            SELECT offered.id, offered.free
            FROM offered
            JOIN unnest(seen, confirmed) AS before (id, confirmed_at)
                ON before.id = offered.id AND before.confirmed_at IS NOT DISTINCT FROM offered.confirmed_at
        ) unchanged ON unchanged.id = held.offer_id
    ),
    reserved AS (
        UPDATE supply_published offer
        SET quantity_reserved = offer.quantity_reserved + more.quantity, updated_at = clock_timestamp()
        FROM (SELECT offer_id, sum(quantity) AS quantity FROM taken WHERE fits GROUP BY offer_id) more
        WHERE more.offer_id = offer.id
    )
    SELECT array_agg(id) INTO refused FROM taken WHERE fits IS NOT TRUE;

    IF refused IS NOT NULL THEN
        PERFORM matching_take_back(refused);
    END IF;
    RETURN QUERY
    SELECT held.need_id, held.offer_id, held.match_id
    FROM unnest(of_needs, of_offers, made) AS held (need_id, offer_id, match_id)
    WHERE refused IS NULL OR held.match_id <> ALL (refused);
END $$;
