-- A hold that is asked for, as `HoldRequest` in commit.py has it: JSON of it is read by the names of these columns.
-- `position` is its place in the plan. `terms` are JSON that PostgreSQL reads when it writes the row, and not before.
CREATE TYPE matching_hold_request AS (
    position integer,
    need_id bigint,
    offer_id bigint,
    requested_at timestamptz,
    confirmed_at timestamptz,
    quantity bigint,
    rank smallint,
    score double precision,
    terms text,
    policy_version integer,
    is_substitute boolean,
    tier smallint,
    respond_by timestamptz
);
