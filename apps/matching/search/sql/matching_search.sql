-- What the search for the best offers of a need is given. `arguments` in best.py makes it, as JSON by these names.
-- Terms that the need decides alone are already weighted; null in a `fit_…` says that such goods do not fit.
CREATE TYPE matching_search AS (
    wanted integer,                      -- how many offers
    at timestamptz,
    policy_version integer,
    item bigint,
    remaining bigint,                    -- what the need still wants
    areas bigint,                        -- one bit for each region that the need lies in
    x double precision,                  -- the place of the need, on the unit sphere; null where it is not known
    y double precision,
    z double precision,
    lead double precision[],             -- lead time by days from 0; longer ones score at most the last
    standard bigint,                     -- the standard that is asked for
    exceeding bigint[],                  -- the standards that exceed it
    fit_unstated double precision,
    fit_asked double precision,
    fit_exceeding double precision,
    fit_other double precision,
    w_coverage double precision,
    w_distance double precision,
    half_distance double precision,      -- the distance that is worth half, in radii of the globe
    base double precision                -- turns a key into a score at this time
);
