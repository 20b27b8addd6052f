# ruff: noqa: S608  our own names
"""The best offers of an item, exactly.

docs/matching.md, "The best offers, exactly", says how it works; docs/decisions/0019-the-best-by-bounds.md why.
"""

from django.db import migrations, models

# Record and price, weighted: what is the same for every need and at any time. Inlined where it is called.
STEADY = """
CREATE FUNCTION matching_steady(
    kept integer, broken integer, is_donation boolean, unit_price double precision, reference_price double precision,
    w_record double precision, w_price double precision,
    prior_matches double precision, prior_share double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT w_record * (kept + prior_share * prior_matches) / (kept + broken + prior_matches)
        + w_price * CASE WHEN is_donation THEN 1
            WHEN unit_price IS NULL OR coalesce(reference_price, 0) = 0 THEN 0.5
            ELSE least(1, greatest(0, 1.5 - unit_price / reference_price)) END
$$;
"""

# The pieces of the function. Distances are chords of the unit sphere, null where a place has no coordinates. An arc is
# never shorter than its chord, so what is counted with the chord is never too low.
CHORD = "sqrt(abs(2 - 2 * ({0}.x * place_x + {0}.y * place_y + {0}.z * place_z)))"
BEST_KEY = "greatest({})".format(", ".join(f"cell.best_{place} + lead_{place}" for place in range(6)))
TIMELY = "lead[least(1 + listing.lead_time_days, latest)]"
FIT = "fits[coalesce(array_position(standards, coalesce(listing.standard_id, 0)), other)]"
COVERED = "w_coverage * least(1, {} / wanting)"
FRESH = "w_freshness * greatest(0, least(1, (date_part('epoch', {}) - stale_at) / fresh_seconds))"
# "Told": whether the need told what its lead time is worth, and not only what it is worth at most.
FACTS = f"""listing.offer_id, listing.quantity, {CHORD.format("listing")} AS chord, {TIMELY} + {FIT} AS fitting,
                        listing.lead_time_days < latest AS told"""
# What these facts give at most, beside what does not depend on the need.
AT_MOST = f"""listing.fitting + coalesce(w_distance / (1 + per_chord * listing.chord), w_distance / 2)
                    + {COVERED.format("listing.quantity")}"""
MAY_SERVE = """listing.organisation_id <> need_organisation AND listing.minimum_order <= wanting
                        AND listing.quantity >= matters AND (listing.areas & areas_there) <> 0"""

BEST = f"""
CREATE FUNCTION matching_best(
    k integer, cells integer, at timestamptz, version integer,
    need_item bigint, need_organisation bigint, wanting double precision, matters bigint,
    excluded bigint[], codes varchar[], areas_there bigint,
    place_x double precision, place_y double precision, place_z double precision,
    -- Terms that the need alone decides, weighted: lead time by days from 0 (longer ones: at most the last); fits of
    -- these standards (0: none stated), and last that of any other. Null does not fit.
    lead double precision[], standards bigint[], fits double precision[], best_fit double precision,
    w_coverage double precision, w_distance double precision, w_freshness double precision,
    w_record double precision, w_price double precision,
    half_distance_km double precision, fresh_seconds double precision,
    prior_matches double precision, prior_share double precision,
    gift_reach_km double precision, gift_reach_km_per_day double precision  -- null: gifts go anywhere
) RETURNS TABLE (offer_id bigint, score double precision)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan  -- planning takes longer than finding
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    stale_at CONSTANT double precision := date_part('epoch', at) - fresh_seconds;
    base CONSTANT double precision := -w_freshness * stale_at / fresh_seconds;  -- turns a key into a score at this time
    today CONSTANT date := (at AT TIME ZONE 'UTC')::date;
    per_chord CONSTANT double precision := 6371.0088 / half_distance_km;
    -- What rounding can make of a score, here and in Python. A chord is good to a third of a metre.
    rounding CONSTANT double precision := 1e-5 + 5e-8 * per_chord * w_distance;
    latest CONSTANT integer := cardinality(lead);
    other CONSTANT integer := cardinality(fits);
    {" ".join(f"lead_{place} CONSTANT double precision := lead[{1 + days}];" for place, days in enumerate((0, 1, 2, 4, 7, 14)))}
    soon double precision := 0.85 * lead_0;
    effort integer;
BEGIN
    -- A few of the best cells first; more where they do not hold k that pass the filters; in the end (100) all there is.
    FOREACH effort IN ARRAY ARRAY[1, 3, 9, 30, 100] LOOP
        RETURN QUERY
        -- The best cells, and the one that comes after them. Bounds that were made for other weights or another time say
        -- nothing: such cells come first.
        WITH cell AS MATERIALIZED (
            SELECT id, rest, CASE WHEN sound THEN rest + best_key ELSE 'infinity' END AS bound FROM (
                SELECT cell.id, cell.policy_version = version AND cell.good_until >= at AS sound, {BEST_KEY} AS best_key,
                    CASE WHEN place_x + cell.x IS NULL THEN w_distance / 2
                        ELSE w_distance / (1 + per_chord * greatest(0, {CHORD.format("cell")} - cell.radius)) END
                    + {COVERED.format("cell.most")} + base + best_fit AS rest
                FROM matching_cell cell WHERE cell.item_id = need_item OFFSET 0
            ) cell
            ORDER BY bound DESC LIMIT CASE WHEN effort < 100 THEN effort * cells + 1 END
        ),
        -- A score that is worth looking for: what the cells that are left aside cannot reach, or what enough of the best
        -- offers of the very best cells may have, whichever is more. Null where bounds say nothing.
        worth AS MATERIALIZED (
            SELECT CASE WHEN effort = 100 THEN '-infinity' WHEN coalesce(highest < 'infinity', true) THEN greatest(
                CASE WHEN looked_at > effort * cells THEN lowest ELSE '-infinity' END,
                base + (
                    SELECT listing.key + {AT_MOST}
                    FROM (SELECT id FROM cell ORDER BY bound DESC LIMIT 8 * effort) cell CROSS JOIN LATERAL (
                        SELECT listing.key, {FACTS} FROM matching_listing listing
                        WHERE listing.cell_id = cell.id AND {TIMELY} >= soon AND {MAY_SERVE} AND {FIT} IS NOT NULL
                        ORDER BY listing.key DESC LIMIT 6
                    ) listing
                    ORDER BY 1 DESC OFFSET (k + 4) * effort LIMIT 1
                )) END AS score
            FROM (SELECT max(bound) AS highest, min(bound) AS lowest, count(*) AS looked_at FROM cell) bounds
        ),
        -- Every listing that may have it, best first.
        pool AS MATERIALIZED (
            SELECT listing.*, row_number() OVER (ORDER BY listing.at_most DESC) AS place FROM (
                SELECT listing.offer_id, listing.chord, listing.fitting, listing.told, listing.steady,
                    listing.key + base + {AT_MOST} AS at_most
                FROM worth CROSS JOIN cell CROSS JOIN LATERAL (
                    SELECT {FACTS}, listing.key, listing.steady FROM matching_listing listing
                    WHERE listing.cell_id = cell.id AND listing.key >= worth.score - cell.rest - lead_0
                        AND listing.key + {TIMELY} >= worth.score - cell.rest AND {MAY_SERVE}
                    OFFSET 0
                ) listing
                WHERE cell.bound >= worth.score AND listing.key + base + {AT_MOST} >= worth.score
                UNION ALL
                -- On the counter there are neither cells nor keys.
                SELECT listing.offer_id, listing.chord, listing.fitting, listing.told, listing.steady,
                    listing.steady + listing.fresh + {AT_MOST}
                FROM worth CROSS JOIN LATERAL (
                    SELECT {FACTS}, {FRESH.format("listing.confirmed_at")} AS fresh,
                        matching_steady(listing.kept, listing.broken, listing.is_donation, listing.unit_price,
                            listing.reference_price, w_record, w_price, prior_matches, prior_share) AS steady
                    FROM matching_listing listing
                    WHERE listing.item_id = need_item AND listing.cell_id IS NULL AND {MAY_SERVE}
                    OFFSET 0
                ) listing
                WHERE listing.steady + listing.fresh + {AT_MOST} >= worth.score
            ) listing
        ),
        -- What is left of the first of them after the filters that need the offer itself, with their scores.
        found AS MATERIALIZED (
            SELECT pool.offer_id, pool.told,
                pool.fitting + pool.steady
                + CASE WHEN pool.chord IS NULL THEN w_distance / 2
                    ELSE w_distance / (1 + per_chord * 2 * asin(least(1, pool.chord / 2))) END
                + {COVERED.format("(offer.quantity - offer.quantity_reserved)")}
                + {FRESH.format("offer.confirmed_at")} AS score
            FROM (SELECT * FROM pool WHERE effort = 100 OR place <= k + 6 * effort) pool
            JOIN supply_offer offer ON offer.id = pool.offer_id
            WHERE offer.state = 'published' AND NOT EXISTS (
                    SELECT FROM accounts_organisation organisation
                    WHERE organisation.id = offer.organisation_id AND organisation.state <> 'verified'
                )
                AND (offer.ships_to = '{{}}' OR offer.ships_to && codes)
                AND NOT offer.id = ANY (excluded)
                -- Gifts wait for a need nearby; a little too far is for Python to say.
                AND (gift_reach_km IS NULL OR NOT offer.is_donation OR pool.chord IS NULL
                    OR 12742.0176 * asin(least(1, pool.chord / 2)) <= 0.001 + gift_reach_km + gift_reach_km_per_day
                        * greatest(0, date_part('epoch', at) - date_part('epoch', offer.published_at)) / 86400)
                AND (offer.certificate_valid_until IS NULL OR offer.certificate_valid_until >= today)
                -- Stock counts what a higher tier could take over.
                AND (offer.quantity - offer.quantity_reserved >= greatest(matters, offer.minimum_order)
                    OR offer.quantity - offer.quantity_reserved
                        + (SELECT coalesce(sum(held.quantity), 0) FROM matching_match held
                           WHERE held.offer_id = offer.id AND held.state = 'held')
                        >= greatest(matters, offer.minimum_order))
        ),
        -- The score of the k-th of those that have it at least, where it was made with these weights; and what no other
        -- can pass. (greatest() and least() ignore nulls.)
        bar AS MATERIALIZED (
            SELECT coalesce((
                    SELECT score - rounding FROM found WHERE told AND effort < 100 ORDER BY score DESC OFFSET k - 1 LIMIT 1
                ), '-infinity') AS height,
                greatest(worth.score, (SELECT at_most FROM pool WHERE effort < 100 AND place = k + 6 * effort + 1))
                    AS others
            FROM worth
        )
        SELECT found.offer_id, found.score FROM bar CROSS JOIN found
        WHERE bar.height >= bar.others AND found.score >= bar.height
        ORDER BY found.score DESC, found.offer_id;
        EXIT WHEN FOUND;
        soon := 0;
    END LOOP;
END $$;
"""

OF_INDEX = ("offer", "organisation_id", "quantity", "minimum_order", "areas", "lead_time_days", "steady", "x", "y", "z",
            "standard_id")  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("matching", "0011_best_offers"), ("accounts", "0003_who_is_not_verified")]

    operations = [
        migrations.RemoveIndex("listing", "listing_best_first"),
        migrations.AddIndex(
            "listing",
            models.Index(
                fields=["cell", "-key"],
                condition=models.Q(cell__isnull=False),
                include=OF_INDEX,
                name="listing_best_first",
            ),
        ),
        migrations.RunSQL(STEADY, "DROP FUNCTION matching_steady"),
        # An earlier version was made by 0011.
        migrations.RunSQL("DROP FUNCTION IF EXISTS matching_best" + ";" + BEST, "DROP FUNCTION matching_best"),
        # Cells stay in the order of their items, and change in place: all cells of an item at once.
        migrations.RunSQL(
            "ALTER TABLE matching_cell SET (fillfactor = 50); ALTER TABLE matching_listing SET (fillfactor = 85)",
            migrations.RunSQL.noop,
        ),
    ]
