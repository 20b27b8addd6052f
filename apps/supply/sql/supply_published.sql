-- The published offers, and how much of each is free. A row is an offer:
--
-- id                 primary key of the offer
-- confirmed_at       when its supplier last said that it stands; it changes with every edit
-- free               base units that are offered and not reserved
-- quantity_reserved  base units that are held or accepted
-- updated_at         the time of the last change, which partners pull by
--
-- The functions in matching/holds commit holds through this view (docs/decisions/0017-a-plan-is-one-call.md). So the
-- rule for what is free stands once, in the app that owns it. The view must stay updatable: no join, no aggregate.
CREATE VIEW supply_published AS
SELECT
    offer.id,
    offer.confirmed_at,
    offer.quantity - offer.quantity_reserved AS free,
    offer.quantity_reserved,
    offer.updated_at
FROM supply_offer offer
WHERE offer.state = 'published';
