-- Count these matches as changed, with their orders, shipments and deliveries, so that the next delta has them.
--
-- Their columns show facts of their need, offer and organisations, and one of these has changed. Called by the triggers
-- in apps/exports/models.py. Matches and orders are locked in the order of their keys first, as everywhere.
CREATE FUNCTION exports_touch(matches bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    orders bigint[];
BEGIN
    PERFORM id FROM matching_match WHERE id = ANY(matches) ORDER BY id FOR NO KEY UPDATE;
    UPDATE matching_match SET updated_at = clock_timestamp() WHERE id = ANY(matches);
    orders := ARRAY(SELECT id FROM fulfilment_order WHERE match_id = ANY(matches) ORDER BY id FOR NO KEY UPDATE);
    UPDATE fulfilment_order SET updated_at = clock_timestamp() WHERE id = ANY(orders);
    UPDATE fulfilment_shipment SET updated_at = clock_timestamp() WHERE order_id = ANY(orders);
    UPDATE fulfilment_delivery SET updated_at = clock_timestamp() WHERE order_id = ANY(orders);
END $$;
