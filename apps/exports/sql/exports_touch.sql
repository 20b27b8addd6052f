-- Count these matches as changed, with their orders, shipments and deliveries, so that the next delta has them.
--
-- Their columns show facts of their need, offer and organisations, and one of these has changed. Called by the triggers
-- in apps/exports/models.py.
CREATE FUNCTION exports_touch(matches bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    orders bigint[];
BEGIN
    UPDATE matching_match SET updated_at = clock_timestamp() WHERE id = ANY(matches);
    orders := ARRAY(SELECT id FROM fulfilment_order WHERE match_id = ANY(matches));
    UPDATE fulfilment_order SET updated_at = clock_timestamp() WHERE id = ANY(orders);
    UPDATE fulfilment_shipment SET updated_at = clock_timestamp() WHERE order_id = ANY(orders);
    UPDATE fulfilment_delivery SET updated_at = clock_timestamp() WHERE order_id = ANY(orders);
END $$;
