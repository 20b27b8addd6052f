-- One hold that `matching_hold` and `matching_hold_one` are asked for. `HoldRequest` (holds/commit.py) has the same
-- fields, and `jsonb_populate_record` reads its JSON by the names of these columns. A type, so that both functions name
-- columns instead of taking JSON apart.
CREATE TYPE matching_hold_request AS (
    position integer,                    -- place in the plan, from 0; earlier ones are admitted first
    need_id bigint,
    offer_id bigint,
    requested_at timestamptz,            -- of the need, when the plan was made: a later one says that it has changed
    confirmed_at timestamptz,            -- of the offer, likewise
    quantity bigint,                     -- in base units
    rank smallint,                       -- within the need, from 1
    score double precision,              -- from 0 to 1
    terms text,                          -- `packed` (models/reasons.py)
    policy_version integer,
    is_substitute boolean,
    tier smallint,                       -- of the need, after ageing; 1 is served first
    respond_by timestamptz               -- the supplier can answer until then
);
