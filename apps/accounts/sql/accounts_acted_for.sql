-- Whether a person has acted for an organisation, so that somebody else must verify it: they registered it, belong to
-- it or have ever belonged, or gave a fact or document since it was last verified.
--
-- organisation   its primary key
-- person         primary key of the user
--
-- It reads the audit trail, which nobody can change. A trigger of the organisation calls it, and the service before that,
-- so that the rule stands once (docs/decisions/0033-two-people-verify.md).
CREATE FUNCTION accounts_acted_for(organisation bigint, person bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM accounts_membership WHERE organisation_id = organisation AND user_id = person
    ) OR EXISTS (
        SELECT FROM core_auditentry entry
        WHERE entry.target_type = 'accounts.organisation' AND entry.target_id = organisation::text
            AND (
                entry.event = 'organisation.registered' AND entry.actor_id = person
                OR entry.event = 'member.added'
                    AND coalesce(entry.data ->> 'user_id', entry.data ->> 'user') = person::text
                OR entry.event IN ('organisation.amended', 'organisation.submitted', 'evidence.added')
                    AND entry.actor_id = person
                    AND entry.id > coalesce((
                        SELECT max(verified.id) FROM core_auditentry verified
                        WHERE verified.target_type = 'accounts.organisation'
                            AND verified.target_id = organisation::text
                            AND verified.event = 'organisation.verified'
                    ), 0)
            )
    )
$$;
