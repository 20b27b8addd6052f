-- Commits a single hold. `commit_holds` (holds/commit.py) calls it for a plan of one request, in its caller's
-- transaction.
--
-- requested  JSON of one `matching_hold_request`
--
-- It returns the primary key of the match that it wrote. It returns null if the need or the offer has changed since the
-- decision, if too little is left, or if the pair is held already.
--
-- A single hold needs no running sums, so conditional updates do what `matching_hold` does with sets. The offer is
-- locked last here too, and for the same reasons it is SQL (docs/decisions/0017-a-plan-is-one-call.md).
CREATE FUNCTION matching_hold_one(requested jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    request CONSTANT matching_hold_request := jsonb_populate_record(NULL::matching_hold_request, requested);
    made bigint;
BEGIN
    UPDATE demands_open need
    SET quantity_held = need.quantity_held + request.quantity, updated_at = clock_timestamp()
    FROM supply_published offer
    WHERE need.id = request.need_id
        AND need.requested_at IS NOT DISTINCT FROM request.requested_at
        AND request.quantity <= need.remaining
        AND offer.id = request.offer_id
        AND offer.confirmed_at IS NOT DISTINCT FROM request.confirmed_at
        AND request.quantity <= offer.free;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    -- A pair that is a backup is promoted; one that is held already is left alone.
    INSERT INTO matching_match AS match (
        demand_id, offer_id, quantity, quantity_asked, rank, score, packed_terms, policy_version, is_substitute, tier,
        respond_by, state, decline_reason, decline_note
    )
    VALUES (
        request.need_id, request.offer_id, request.quantity, request.quantity, request.rank, request.score,
        request.terms, request.policy_version, request.is_substitute, request.tier, request.respond_by,
        'held', '', ''
    )
    ON CONFLICT (demand_id, offer_id) WHERE state IN ('held', 'standby') DO UPDATE SET
        state = excluded.state, quantity = excluded.quantity, quantity_asked = excluded.quantity_asked,
        rank = excluded.rank, score = excluded.score, packed_terms = excluded.packed_terms,
        policy_version = excluded.policy_version, is_substitute = excluded.is_substitute, tier = excluded.tier,
        respond_by = excluded.respond_by
    WHERE match.state = 'standby'
    RETURNING match.id INTO made;
    IF made IS NULL THEN  -- held already
        UPDATE demands_open need SET quantity_held = need.quantity_held - request.quantity
        WHERE need.id = request.need_id;
        RETURN NULL;
    END IF;

    UPDATE supply_published offer
    SET quantity_reserved = offer.quantity_reserved + request.quantity, updated_at = clock_timestamp()
    WHERE offer.id = request.offer_id
        AND offer.confirmed_at IS NOT DISTINCT FROM request.confirmed_at
        AND request.quantity <= offer.free;
    IF FOUND THEN
        RETURN made;
    END IF;
    PERFORM matching_take_back(ARRAY[made]);
    RETURN NULL;
END $$;
