-- What `matching_best` is asked. `arguments` (search/best.py) makes it, as JSON by these names. A type, so that the
-- function reads its arguments by name.
--
-- Weights and weighted terms are parts of a score from 0 to 1. Null in a `fit_…` says that such goods do not fit.
CREATE TYPE matching_search AS (
    wanted integer,                      -- how many offers
    at timestamptz,
    policy_version integer,
    item bigint,
    remaining bigint,                    -- what the need still wants, in base units
    areas bigint,                        -- one bit for each region that the need lies in
    x double precision,                  -- the place of the need, on the unit sphere; null where it is not known
    y double precision,
    z double precision,
    lead double precision[],             -- weighted term by days from 0; longer lead times score at most the last
    standard bigint,                     -- the standard that is asked for
    exceeding bigint[],                  -- the standards that exceed it
    fit_unstated double precision,       -- weighted standard term of goods that state no standard
    fit_asked double precision,          -- … that state the one that is asked for
    fit_exceeding double precision,      -- … that state one that exceeds it
    fit_other double precision,          -- … that state any other
    w_coverage double precision,         -- weights: the rest of these terms depends on the offer
    w_distance double precision,
    half_distance double precision,      -- the distance that is worth half, in radii of the globe
    base double precision                -- turns a key into a score at this time
);
