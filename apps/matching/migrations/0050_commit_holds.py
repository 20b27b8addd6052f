"""Committing holds inside the database: a plan of many, and a single one.

Both do first what few others want (needs and matches) and take the offers last: whoever waits for a hot offer waits for
little more than a commit. Why: docs/decisions/0017-a-plan-is-one-call.md.
"""

from django.db import migrations

# `terms` are JSON that PostgreSQL reads when it writes the row, and not before.
ASK = """
CREATE TYPE matching_ask AS (
    need_id bigint, offer_id bigint, requested_at timestamptz, confirmed_at timestamptz,
    quantity bigint, rank smallint, score float8, terms text, policy_version integer, is_substitute boolean,
    tier smallint, respond_by timestamptz
)
"""

COLUMNS = """(demand_id, offer_id, quantity, quantity_asked, rank, score, terms, policy_version, is_substitute, tier,
         respond_by, state, decline_reason, decline_note)"""
VALUES = """ask.need_id, ask.offer_id, ask.quantity, ask.quantity, ask.rank, ask.score, ask.terms::jsonb,
        ask.policy_version, ask.is_substitute, ask.tier, ask.respond_by, 'held', '', ''"""
# A pair that is next best is promoted; one that is held already is left alone.
ON_CONFLICT = """ON CONFLICT (demand_id, offer_id) WHERE state IN ('held', 'standby') DO UPDATE SET
        (state, quantity, quantity_asked, rank, score, terms, policy_version, is_substitute, tier, respond_by)
        = (excluded.state, excluded.quantity, excluded.quantity_asked, excluded.rank, excluded.score, excluded.terms,
           excluded.policy_version, excluded.is_substitute, excluded.tier, excluded.respond_by)
        WHERE match.state = 'standby'"""

TAKE_BACK = """
-- The stock went between looking and taking. Nobody has seen the matches of this statement; one that was next best before
-- may be with partners: it stays, for them to hear that it is none any more, and nobody was asked. Their needs are locked.
CREATE FUNCTION matching_take_back(refused bigint[]) RETURNS void LANGUAGE sql AS $$
    WITH unseen AS (
        DELETE FROM matching_match WHERE id = ANY (refused) AND created_at = statement_timestamp()
        RETURNING demand_id, quantity
    ), stood_down AS (
        UPDATE matching_match SET state = 'superseded', respond_by = NULL
        WHERE id = ANY (refused) AND created_at <> statement_timestamp()
        RETURNING demand_id, quantity
    )
    UPDATE demands_open need SET quantity_held = quantity_held - less.quantity
    FROM (
        SELECT demand_id, sum(quantity) AS quantity FROM (TABLE unseen UNION ALL TABLE stood_down) AS gone
        GROUP BY demand_id
    ) AS less
    WHERE need.id = less.demand_id;
$$
"""

HOLD = f"""
CREATE FUNCTION matching_hold(asks jsonb, needs bigint[], offers bigint[])
RETURNS TABLE (need_id bigint, offer_id bigint, match_id bigint) LANGUAGE plpgsql
-- Plans are kept, and made when tables may be empty: these are good at any size.
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    seen bigint[]; confirmed timestamptz[]; free bigint[];
    made bigint[]; of_needs bigint[]; of_offers bigint[]; quantities bigint[]; refused bigint[];
BEGIN
    SELECT array_agg(id), array_agg(confirmed_at), array_agg(room) INTO seen, confirmed, free
    FROM supply_published WHERE id = ANY (offers);

    WITH need AS MATERIALIZED (
        SELECT id, requested_at, room FROM demands_open WHERE id = ANY (needs) ORDER BY id FOR NO KEY UPDATE
    ), asked AS (
        SELECT ask.*, need.room AS wanted, offer.room AS free,
               sum(ask.quantity) OVER (PARTITION BY ask.need_id ORDER BY place) AS of_need,
               sum(ask.quantity) OVER (PARTITION BY ask.offer_id ORDER BY place) AS of_offer
        FROM jsonb_populate_recordset(NULL::matching_ask, asks) WITH ORDINALITY AS ask (
            need_id, offer_id, requested_at, confirmed_at, quantity, rank, score, terms, policy_version, is_substitute,
            tier, respond_by, place
        )
        JOIN need ON need.id = ask.need_id AND need.requested_at IS NOT DISTINCT FROM ask.requested_at
        JOIN unnest(seen, confirmed, free) AS offer (id, confirmed_at, room)
             ON offer.id = ask.offer_id AND offer.confirmed_at IS NOT DISTINCT FROM ask.confirmed_at
    ), written AS (
        INSERT INTO matching_match AS match {COLUMNS}
        SELECT {VALUES} FROM asked ask
        WHERE of_need <= wanted AND of_offer <= free ORDER BY place
        {ON_CONFLICT}
        RETURNING id, demand_id, offer_id, quantity
    ), counted AS (
        UPDATE demands_open need SET quantity_held = quantity_held + more.quantity, updated_at = clock_timestamp()
        FROM (SELECT demand_id, sum(quantity) AS quantity FROM written GROUP BY demand_id) AS more
        WHERE need.id = more.demand_id
    )
    SELECT array_agg(id), array_agg(demand_id), array_agg(offer_id), array_agg(quantity)
    INTO made, of_needs, of_offers, quantities FROM written;

    -- From here to the commit others wait: what can be checked without the offers is checked before.
    SET CONSTRAINTS matching_match_demand_id_aa7e0433_fk_demands_demand_id,
                    matching_match_responded_by_id_4f1f30a8_fk_accounts_user_id IMMEDIATE;
    WITH offered AS MATERIALIZED (
        SELECT id, confirmed_at, room FROM supply_published WHERE id = ANY (of_offers) ORDER BY id FOR NO KEY UPDATE
    ), taken AS MATERIALIZED (
        SELECT held.*, sum(held.quantity) OVER (PARTITION BY held.offer_id ORDER BY place) <= offered.room AS fits
        FROM unnest(made, of_offers, quantities) WITH ORDINALITY AS held (id, offer_id, quantity, place)
        LEFT JOIN (
            offered JOIN unnest(seen, confirmed) AS before (id, confirmed_at)
            ON before.id = offered.id AND before.confirmed_at IS NOT DISTINCT FROM offered.confirmed_at
        ) ON offered.id = held.offer_id
    ), reserved AS (
        UPDATE supply_published offer
        SET quantity_reserved = quantity_reserved + more.quantity, updated_at = clock_timestamp()
        FROM (SELECT offer_id, sum(quantity) AS quantity FROM taken WHERE fits GROUP BY offer_id) AS more
        WHERE offer.id = more.offer_id
    )
    SELECT array_agg(id) INTO refused FROM taken WHERE fits IS NOT TRUE;

    IF refused IS NOT NULL THEN
        PERFORM matching_take_back(refused);
    END IF;
    RETURN QUERY
    SELECT held.* FROM unnest(of_needs, of_offers, made) AS held (need_id, offer_id, match_id)
    WHERE refused IS NULL OR match_id <> ALL (refused);
END $$
"""

HOLD_ONE = f"""
CREATE FUNCTION matching_hold_one(ask matching_ask) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    UPDATE demands_open need SET quantity_held = quantity_held + ask.quantity, updated_at = clock_timestamp()
    FROM supply_published offer
    WHERE need.id = ask.need_id AND need.requested_at IS NOT DISTINCT FROM ask.requested_at
      AND ask.quantity <= need.room
      AND offer.id = ask.offer_id AND offer.confirmed_at IS NOT DISTINCT FROM ask.confirmed_at
      AND ask.quantity <= offer.room;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    INSERT INTO matching_match AS match {COLUMNS}
    VALUES ({VALUES})
    {ON_CONFLICT}
    RETURNING id INTO made;
    IF made IS NULL THEN  -- asked already
        UPDATE demands_open SET quantity_held = quantity_held - ask.quantity WHERE id = ask.need_id;
        RETURN NULL;
    END IF;

    UPDATE supply_published SET quantity_reserved = quantity_reserved + ask.quantity, updated_at = clock_timestamp()
    WHERE id = ask.offer_id AND confirmed_at IS NOT DISTINCT FROM ask.confirmed_at AND ask.quantity <= room;
    IF FOUND THEN
        RETURN made;
    END IF;
    PERFORM matching_take_back(ARRAY[made]);
    RETURN NULL;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("matching", "0012_best_of_listings"),
        ("demands", "0050_open_needs"),
        ("supply", "0050_published_offers"),
    ]

    operations = [
        migrations.RunSQL(ASK, "DROP TYPE matching_ask"),
        migrations.RunSQL(TAKE_BACK, "DROP FUNCTION matching_take_back"),
        migrations.RunSQL(HOLD, "DROP FUNCTION matching_hold"),
        migrations.RunSQL(HOLD_ONE, "DROP FUNCTION matching_hold_one"),
    ]
