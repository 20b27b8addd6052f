-- What suppliers can be asked for: the published offers, and how much of each is free (offered less reserved). Holds are
-- committed through this view (decision 0017).
CREATE VIEW supply_published AS
SELECT
    offer.id,
    offer.confirmed_at,
    offer.quantity - offer.quantity_reserved AS free,
    offer.quantity_reserved,
    offer.updated_at
FROM supply_offer offer
WHERE offer.state = 'published';
