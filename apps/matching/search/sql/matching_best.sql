-- Finds the offers of an item with the highest upper bounds of their scores for a need. `upper_bounds`
-- (search/best.py) calls it.
--
-- search  JSON of `matching_search`
--
-- It returns rows of offer_id, a primary key, and at_most, an upper bound of the score (a perfect offer has 1).
-- The `wanted` offers with the highest bounds come first, highest first. No offer that is left out has a higher bound
-- than the last of them. Fewer than `wanted` are returned only if no other could serve the need. Offers without a bound
-- follow with infinity: not indexed yet, changed since, or past the time of their keys.
--
-- A threshold algorithm (Fagin, Lotem and Naor 2003) over cells: the first pass looks at a few offers of the best cells
-- and takes the bound of the last wanted one for a threshold; the second looks at all that reach it.
--
-- It is SQL, because some hundred offers of a million are read from one covering index, and only the best of them are
-- sent to the program. docs/matching/search.md, docs/decisions/0019-the-best-by-bounds.md.
CREATE FUNCTION matching_best(search jsonb) RETURNS TABLE (offer_id bigint, at_most double precision)
LANGUAGE plpgsql STABLE
-- Planning takes longer than finding, and the plan must not depend on how full tables were when it was made.
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    need CONSTANT matching_search := jsonb_populate_record(NULL::matching_search, search);
    remaining CONSTANT double precision := need.remaining;
    need_areas CONSTANT bigint := need.areas;
    place_x CONSTANT double precision := need.x;
    place_y CONSTANT double precision := need.y;
    place_z CONSTANT double precision := need.z;
    half CONSTANT double precision := need.half_distance;
    near CONSTANT double precision := need.w_distance * half;  -- over (half + distance): what a distance is worth
    somewhere CONSTANT double precision := need.w_distance / 2;  -- where the distance is not known
    per_unit CONSTANT double precision := need.w_coverage / greatest(1, need.remaining);
    full_coverage CONSTANT double precision := need.w_coverage;
    lead CONSTANT double precision[] := need.lead;
    longest CONSTANT integer := cardinality(lead);
    standard CONSTANT bigint := need.standard;
    exceeding CONSTANT bigint[] := need.exceeding;
    fit_unstated CONSTANT double precision := need.fit_unstated;
    fit_asked CONSTANT double precision := need.fit_asked;
    fit_exceeding CONSTANT double precision := need.fit_exceeding;
    fit_other CONSTANT double precision := need.fit_other;
    best_fit CONSTANT double precision :=
        greatest(0, need.fit_unstated, need.fit_asked, need.fit_exceeding, need.fit_other);
    -- The cells of the item, best first: their cities, and the bounds of what is in them with and without its best key.
    cities varchar[];
    bounds double precision[];
    rests double precision[];
    outdated boolean;
    -- What the first pass looks at: three times as many as are wanted. Then null: all.
    cells integer := 16;
    depth integer := greatest(6, 3 * need.wanted / 16);
    threshold double precision := '-infinity';
    offers bigint[];
    highest double precision[];
BEGIN
    SELECT array_agg(city ORDER BY bound DESC), array_agg(bound ORDER BY bound DESC),
        array_agg(rest ORDER BY bound DESC), coalesce(bool_or(policy_version <> need.policy_version), false)
    INTO cities, bounds, rests, outdated
    FROM (
        SELECT city, policy_version, rest, rest + best_key AS bound
        FROM (
            SELECT
                cell.city, cell.policy_version, cell.best_key,
                need.base + full_coverage + best_fit + lead[least(1 + cell.soonest, longest)]
                -- A straight line to the box around the cell: never longer than the way over the globe.
                + coalesce(near / (half + sqrt(
                    greatest(cell.min_x - place_x, 0, place_x - cell.max_x) ^ 2
                    + greatest(cell.min_y - place_y, 0, place_y - cell.max_y) ^ 2
                    + greatest(cell.min_z - place_z, 0, place_z - cell.max_z) ^ 2
                )), somewhere) AS rest
            FROM matching_indexcell cell
            WHERE cell.item_id = need.item
        ) known
    ) bounded;

    -- The weights of another policy bound nothing: all published offers, until the item is indexed anew.
    IF outdated THEN
        RETURN QUERY SELECT offer.id, 'infinity'::double precision
        FROM supply_offer offer WHERE offer.item_id = need.item AND offer.state = 'published';
        RETURN;
    END IF;

    FOR pass IN 1..2 LOOP
        SELECT array_agg(best.offer_id ORDER BY best.at_most DESC), array_agg(best.at_most ORDER BY best.at_most DESC)
        INTO offers, highest
        FROM (
            SELECT listed.offer_id, listed.at_most
            FROM (
                SELECT cell.city, cell.rest FROM unnest(cities, bounds, rests) AS cell (city, bound, rest)
                WHERE cell.bound >= threshold LIMIT cells
            ) cell
            CROSS JOIN LATERAL (
                SELECT bounded.offer_id, bounded.at_most
                FROM (
                    SELECT indexed.offer_id, indexed.key,
                        need.base + indexed.key
                        + least(full_coverage, indexed.quantity * per_unit)
                        + lead[least(1 + indexed.lead_time_days, longest)]
                        + CASE
                            WHEN indexed.standard_id IS NULL THEN fit_unstated
                            WHEN indexed.standard_id = standard THEN fit_asked
                            WHEN indexed.standard_id = ANY (exceeding) THEN fit_exceeding
                            ELSE fit_other
                        END
                        + coalesce(near / (half + sqrt(
                            (indexed.x - place_x) * (indexed.x - place_x)
                            + (indexed.y - place_y) * (indexed.y - place_y)
                            + (indexed.z - place_z) * (indexed.z - place_z)
                        )), somewhere) AS at_most
                    FROM matching_indexedoffer indexed
                    WHERE indexed.item_id = need.item AND indexed.city = cell.city
                        AND indexed.key >= threshold - cell.rest
                        -- Most others pass these two; all other checks are for whoever reads the offer.
                        AND (indexed.areas & need_areas) <> 0 AND indexed.minimum_order <= remaining
                ) bounded
                WHERE bounded.at_most >= threshold  -- null, and out, where the goods do not fit
                ORDER BY bounded.key DESC
                LIMIT depth
            ) listed
            ORDER BY listed.at_most DESC LIMIT need.wanted
        ) best;
        -- A little lower, as bounds of cells and of offers are added up in different orders.
        threshold := coalesce(highest[need.wanted] - 1e-9, '-infinity');
        cells := NULL;
        depth := NULL;
    END LOOP;

    RETURN QUERY
    SELECT best.offer_id, best.at_most FROM unnest(offers, highest) AS best (offer_id, at_most)
    UNION ALL
    SELECT change.offer_id, 'infinity' FROM supply_offerchange change WHERE change.item_id = need.item
    UNION ALL
    SELECT indexed.offer_id, 'infinity' FROM matching_indexedoffer indexed
    WHERE indexed.item_id = need.item AND indexed.good_until < need.at;
END $$;
