-- Which sides each row of an export has. A row is one side of one such row:
--
-- dataset          name of the dataset
-- id               primary key of the row in its table
-- demand_id        need that the row is about; NULL for the side of an offer and for organisations
-- offer_id         offer that the row is about; NULL for the side of a need and for organisations
-- organisation_id  whose side it is
-- region_id        code of the region of this side; who watches it sees the row
--
-- Triggers on these tables (apps/exports/models.py) read here who could see a row before it was moved or deleted.
CREATE VIEW exports_side AS
SELECT 'demands' AS dataset, id, id AS demand_id, NULL::bigint AS offer_id, organisation_id, region_id
FROM demands_demand
UNION ALL
SELECT 'offers', id, NULL, id, organisation_id, origin_region_id FROM supply_offer
UNION ALL
SELECT 'organisations', id, NULL, NULL, id, region_id FROM accounts_organisation
UNION ALL
SELECT 'matches', match.id, demand.id, NULL, demand.organisation_id, demand.region_id
FROM matching_match match JOIN demands_demand demand ON demand.id = match.demand_id
UNION ALL
SELECT 'matches', match.id, NULL, offer.id, offer.organisation_id, offer.origin_region_id
FROM matching_match match JOIN supply_offer offer ON offer.id = match.offer_id
UNION ALL
SELECT 'orders', made.id, demand.id, NULL, demand.organisation_id, demand.region_id
FROM fulfilment_order made
JOIN matching_match match ON match.id = made.match_id
JOIN demands_demand demand ON demand.id = match.demand_id
UNION ALL
SELECT 'orders', made.id, NULL, offer.id, offer.organisation_id, offer.origin_region_id
FROM fulfilment_order made
JOIN matching_match match ON match.id = made.match_id
JOIN supply_offer offer ON offer.id = match.offer_id
UNION ALL
SELECT 'shipments', shipment.id, demand.id, NULL, demand.organisation_id, demand.region_id
FROM fulfilment_shipment shipment
JOIN fulfilment_order made ON made.id = shipment.order_id
JOIN matching_match match ON match.id = made.match_id
JOIN demands_demand demand ON demand.id = match.demand_id
UNION ALL
SELECT 'shipments', shipment.id, NULL, offer.id, offer.organisation_id, offer.origin_region_id
FROM fulfilment_shipment shipment
JOIN fulfilment_order made ON made.id = shipment.order_id
JOIN matching_match match ON match.id = made.match_id
JOIN supply_offer offer ON offer.id = match.offer_id
UNION ALL
SELECT 'deliveries', delivery.id, demand.id, NULL, demand.organisation_id, demand.region_id
FROM fulfilment_delivery delivery
JOIN fulfilment_order made ON made.id = delivery.order_id
JOIN matching_match match ON match.id = made.match_id
JOIN demands_demand demand ON demand.id = match.demand_id
UNION ALL
SELECT 'deliveries', delivery.id, NULL, offer.id, offer.organisation_id, offer.origin_region_id
FROM fulfilment_delivery delivery
JOIN fulfilment_order made ON made.id = delivery.order_id
JOIN matching_match match ON match.id = made.match_id
JOIN supply_offer offer ON offer.id = match.offer_id;
