-- A market after a year, as it could have happened. `aged_world.py` runs this in a database that has only reference
-- data, with triggers off and the defaults of the models as defaults of the tables.
--
-- size    one row: how many requesters and suppliers, needs and offers; a young market has no needs
-- wares   the items: n (the most wanted first), id, and a standard of it, if it has one
-- reasons the terms of a match, as matching stores them
--
-- First everything is drawn: needs, goods, and which of the goods each need was matched with. Then the rows are written
-- once, with the counters summed from what was drawn. So every counter agrees with its matches, orders and deliveries.
-- What the triggers would have written is written here, too: the times of the last change, and the changed offers.

-- Items by Zipf's law: `at[n]` is the share of all draws that fall on the first n items.
CREATE TEMP TABLE cut AS
SELECT array_agg(share ORDER BY n) AS at FROM (
    SELECT n, (sum(1.0 / n) OVER (ORDER BY n) / sum(1.0 / n) OVER ())::float8 AS share FROM wares
) shares;

-- Places: every county of China. The first of the list get most: those of Hubei, then the others by chance.
CREATE TEMP TABLE place AS
SELECT row_number() OVER (ORDER BY code LIKE '42%' DESC, md5(code)) AS n, code, name
FROM catalogue_region
WHERE path LIKE 'CN/%' AND level = 'county' AND code NOT LIKE '%00';

-- Organisations: requesters, suppliers, then a desk and a department for the nation and each province. One in 33 of the
-- first two kinds is not verified.
CREATE TEMP TABLE body AS
SELECT n, CASE WHEN n > requesters THEN 'supplier'
               ELSE (ARRAY['hospital', 'hospital', 'hospital', 'health_facility', 'community', 'enterprise'])[1 + n % 6]
          END AS kind,
    n % 33 <> 0 AS is_verified, 365 * random() AS age,
    1 + floor((SELECT count(*) FROM place) * random() ^ 2)::int AS home
FROM size, generate_series(1, requesters + suppliers) n;

INSERT INTO accounts_organisation (id, name, kind, identifier_kind, identifier, region_id, address, contact_name,
    contact_phone, contact_email, state, announced_state, state_reason, verified_at, verified_until, call_back,
    created_at, updated_at)
SELECT body.n,
    place.name || CASE kind WHEN 'hospital' THEN '第' || body.n || '人民医院'
                            WHEN 'supplier' THEN '防护' || body.n || '有限公司'
                            ELSE '服务' || body.n || '中心' END,
    kind, 'other', 'A' || lpad(body.n::text, 8, '0'), place.code, '人民路' || body.n || '号', '联系人' || body.n,
    '138' || lpad(body.n::text, 8, '0'), 'body' || body.n || '@aged.example', state, state,
    CASE WHEN state = 'rejected' THEN 'The register does not know it.' ELSE '' END,
    CASE WHEN is_verified THEN now() - age * interval '1 day' END,
    CASE WHEN is_verified THEN current_date + 30 + body.n % 300 END,
    CASE WHEN is_verified THEN 'Register of hospitals' ELSE '' END,
    now() - (age + 1) * interval '1 day', now() - age * interval '1 day'
FROM body JOIN place ON place.n = body.home CROSS JOIN LATERAL (
    SELECT CASE WHEN is_verified THEN 'verified' ELSE (ARRAY['pending', 'unverified', 'rejected'])[1 + body.n / 33 % 3]
           END AS state
) stated;

INSERT INTO accounts_organisation (id, name, kind, identifier_kind, identifier, region_id, contact_email, state,
    announced_state, verified_at, verified_until, call_back, created_at, updated_at)
SELECT requesters + suppliers + row_number() OVER (ORDER BY kind, path), region.name || ' ' || kind, kind, 'other', '',
    code, kind || code || '@aged.example', 'verified', 'verified', now() - interval '1 year', current_date + 300,
    'By the ministry', now() - interval '1 year', now() - interval '1 year'
FROM size, catalogue_region region, (VALUES ('coordinator'), ('government')) AS kinds (kind)
WHERE path = 'CN/' OR path LIKE 'CN/%' AND level = 'province';

-- People: one for each organisation, with its number, and a second for every third one.
INSERT INTO accounts_user (id, email, name, password, language, date_joined)
SELECT n, 'person' || n || '@aged.example', '用户' || n, '!', CASE WHEN n % 10 = 0 THEN 'en' ELSE 'zh-hans' END,
    now() - interval '1 year'
FROM generate_series(1, (SELECT count(*) * 4 / 3 FROM accounts_organisation)) n;
INSERT INTO accounts_membership (user_id, organisation_id, role)
SELECT id, CASE WHEN id <= bodies THEN id ELSE 3 * (id - bodies) END,
    CASE WHEN id <= bodies THEN 'manager' ELSE 'member' END
FROM accounts_user, (SELECT count(*) AS bodies FROM accounts_organisation) known;

-- Needs, drawn. A state has a share of them; what is over is older than what is under way.
CREATE TEMP TABLE state_of_needs (state text, up_to float8, days float8);
INSERT INTO state_of_needs VALUES ('open', 0.3333, 60), ('matched', 0.48, 60), ('fulfilled', 0.76, 365),
    ('cancelled', 0.88, 365), ('stale', 0.93, 365), ('paused', 0.97, 365), ('draft', 1, 60);
CREATE TEMP TABLE need AS
SELECT row_number() OVER (ORDER BY opened_at) AS id, who_needs.*, luck < 0.25 AS has_two,
    -- Some do not know how much they need, and nobody was asked for these yet. What is promised in full is known.
    state NOT IN ('matched', 'fulfilled') AND fresh < 0.06 AS is_unknown
FROM (
    SELECT body.n AS organisation_id, body.is_verified, place.code AS region_id, wares.n AS ware, wares.id AS item_id,
        CASE WHEN luck < 0.3 THEN wares.standard_id END AS standard_id, fresh, luck,
        CASE WHEN body.is_verified THEN stated.state ELSE 'draft' END AS state,
        greatest(50, round(exp(6.9 + 0.9 * gauss)))::bigint AS quantity,
        (ARRAY['emergency', 'urgent', 'urgent', 'urgent', 'routine', 'routine'])[1 + floor(6 * urgent)::int] AS urgency,
        now() - (0.3 + stated.days * aged ^ 2) * interval '1 day' AS opened_at
    FROM size CROSS JOIN LATERAL (
        SELECT random() AS who, random() AS what, random() AS stands, random() AS urgent, random() AS aged,
            random() AS fresh, random() AS luck, sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS gauss
        FROM generate_series(1, needs) n
    ) drawn
    JOIN body ON body.n = 1 + floor(requesters * who ^ 2.5)::int
    JOIN place ON place.n = body.home
    JOIN wares ON wares.n = 1 + width_bucket(what, (SELECT at[:cardinality(at) - 1] FROM cut))
    CROSS JOIN LATERAL (SELECT * FROM state_of_needs WHERE stands <= up_to ORDER BY up_to LIMIT 1) stated
) who_needs;

-- Goods, drawn. The first ten of every item are published, so that each need finds ten.
CREATE TEMP TABLE state_of_goods (state text, up_to float8);
INSERT INTO state_of_goods
VALUES ('published', 0.55), ('paused', 0.65), ('stale', 0.8), ('withdrawn', 0.95), ('draft', 1);
CREATE TEMP TABLE goods AS
SELECT row_number() OVER (ORDER BY published_at) AS id, who_has.* FROM (
    SELECT body.n AS organisation_id, place.code AS region_id, wares.n AS ware, wares.id AS item_id, wares.standard_id,
        CASE WHEN NOT body.is_verified THEN 'draft' WHEN drawn.n <= 10 * items THEN 'published' ELSE stated.state
        END AS state,
        greatest(1, round(exp(8 + 1.2 * gauss)))::bigint AS free, fresh, luck,
        now() - (14 + 350 * aged ^ 2) * interval '1 day' AS published_at
    FROM size CROSS JOIN (SELECT count(*)::int AS items FROM wares) known CROSS JOIN LATERAL (
        SELECT n, random() AS who, random() AS what, random() AS stands, random() AS aged, random() AS fresh,
            random() AS luck, sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS gauss
        FROM generate_series(1, offers) n
    ) drawn
    -- The second number is one of the 32 after a multiple of 33: a verified supplier.
    JOIN body ON body.n = CASE WHEN drawn.n > 10 * items THEN requesters + 1 + floor(suppliers * who ^ 2.5)::int
                               ELSE 33 * (requesters / 33 + 1) + 1 + drawn.n % 32 END
    JOIN place ON place.n = body.home
    JOIN wares ON wares.n = CASE WHEN drawn.n <= 10 * items THEN 1 + drawn.n % items
                                 ELSE 1 + width_bucket(what, (SELECT at[:cardinality(at) - 1] FROM cut)) END
    CROSS JOIN LATERAL (SELECT * FROM state_of_goods WHERE stands <= up_to ORDER BY up_to LIMIT 1) stated
) who_has;

-- Where a need finds its goods: a numbered list for each item of what is published, and one of what ever was.
CREATE TEMP TABLE shop AS
SELECT ware, is_live, id AS offer_id, organisation_id,
    row_number() OVER listed - 1 AS n, count(*) OVER (PARTITION BY ware, is_live) AS number
FROM goods JOIN (VALUES (true), (false)) AS list (is_live) ON goods.state = 'published' OR NOT is_live
WHERE state <> 'draft'
WINDOW listed AS (PARTITION BY ware, is_live ORDER BY md5(id::text));
ANALYZE shop;
ANALYZE need;

-- What each need went through: for needs of a state, the states of their matches, how likely each is, and the share of
-- the need. All of a matched or fulfilled need is accepted, of one supplier or two.
CREATE TEMP TABLE story (need_state text, n int, state text, chance float8, share float8);
INSERT INTO story VALUES
    ('open', 0, 'held', 0.62, 0.4), ('open', 1, 'held', 0.235, 0.2), ('open', 2, 'accepted', 0.3, 0.3),
    ('open', 3, 'standby', 0.5, 0.3), ('open', 4, 'declined', 0.3, 0.5), ('open', 5, 'expired', 0.3, 0.5),
    ('open', 6, 'cancelled', 0.1, 0.5), ('open', 7, 'superseded', 0.2, 0.5),
    ('matched', 0, 'accepted', 1, 0.6), ('matched', 1, 'accepted', 1, 0.4), ('matched', 2, 'declined', 0.2, 0.5),
    ('matched', 3, 'expired', 0.2, 0.5), ('matched', 4, 'superseded', 0.4, 0.5),
    ('fulfilled', 0, 'accepted', 1, 0.6), ('fulfilled', 1, 'accepted', 1, 0.4), ('fulfilled', 2, 'declined', 0.2, 0.5),
    ('fulfilled', 3, 'expired', 0.2, 0.5), ('fulfilled', 4, 'superseded', 0.45, 0.5),
    ('cancelled', 0, 'cancelled', 0.6, 0.5), ('cancelled', 1, 'declined', 0.3, 0.5),
    ('cancelled', 2, 'expired', 0.3, 0.5),
    ('stale', 0, 'accepted', 0.3, 0.3), ('stale', 1, 'expired', 0.6, 0.5), ('stale', 2, 'cancelled', 0.6, 0.5),
    ('paused', 0, 'accepted', 0.3, 0.3), ('paused', 1, 'expired', 0.6, 0.5), ('paused', 2, 'cancelled', 0.6, 0.5);

-- Matches, drawn. Of some fulfilled needs the first of two suppliers sent a twentieth that was rejected, and the second
-- one made up for it.
CREATE TEMP TABLE pair AS
SELECT row_number() OVER (ORDER BY made_at) AS id, drawn.* FROM (
    SELECT need.id AS demand_id, shop.offer_id, need.organisation_id AS requester, shop.organisation_id AS supplier,
        need.state AS need_state, story.state, story.n, lost, need.urgency,
        CASE WHEN need.state NOT IN ('matched', 'fulfilled') THEN floor(need.quantity * share)::bigint
             WHEN story.n = 1 THEN floor(need.quantity * 0.4)::bigint
             ELSE need.quantity + lost - CASE WHEN has_two THEN floor(need.quantity * 0.4)::bigint ELSE 0 END
        END AS quantity,
        CASE WHEN story.state = 'held' THEN greatest(opened_at, now() - random() * interval '3 hours')
             ELSE opened_at + (now() - opened_at) * 0.5 * random() ^ 2 END AS made_at,
        story.state = 'cancelled' AND random() < 0.15 AS is_called_off, random() AS luck
    FROM need
    JOIN story ON story.need_state = need.state
    JOIN (SELECT ware, is_live, max(number) AS number FROM shop GROUP BY 1, 2) known
        ON known.ware = need.ware AND known.is_live = (need.state = 'open')
    JOIN shop ON shop.ware = need.ware AND shop.is_live = (need.state = 'open')
        AND shop.n = (floor(known.number * need.luck ^ 1.5)::int + story.n) % known.number
    CROSS JOIN LATERAL (
        SELECT CASE WHEN need.state = 'fulfilled' AND story.n = 0 AND has_two AND need.id % 5 = 0
                    THEN ceil(need.quantity * 0.05)::bigint ELSE 0 END AS lost
    ) loss
    -- Drawn for each pair: a condition on the story alone would be drawn once for all.
    WHERE random() + 0 * need.luck < chance AND NOT need.is_unknown
        AND (has_two OR story.state <> 'accepted' OR story.n <> 1)
) drawn;

-- Orders, drawn: one for each match that is accepted or was called off afterwards.
CREATE TEMP TABLE purchase AS
SELECT row_number() OVER (ORDER BY id) AS id, id AS match_id, demand_id, offer_id, requester, supplier, quantity, lost,
    made_at + interval '2 hours' AS made_at,
    CASE WHEN is_called_off THEN 'cancelled' WHEN lost > 0 THEN 'closed'
         WHEN need_state IN ('fulfilled', 'stale', 'paused') OR luck < 0.2 AND need_state = 'open' THEN 'delivered'
         WHEN luck < 0.7 THEN 'shipped' ELSE 'confirmed' END AS state
FROM pair WHERE state = 'accepted' OR is_called_off;
CREATE TEMP TABLE total_of_need AS
SELECT demand_id, sum(held)::bigint AS held, sum(matched)::bigint AS matched, sum(received)::bigint AS received FROM (
    SELECT demand_id, quantity AS held, 0 AS matched, 0 AS received FROM pair WHERE state = 'held'
    UNION ALL
    SELECT demand_id, 0, quantity - lost, CASE WHEN state IN ('delivered', 'closed') THEN quantity - lost ELSE 0 END
    FROM purchase WHERE state <> 'cancelled'
) counted GROUP BY demand_id;
CREATE TEMP TABLE total_of_goods AS
SELECT offer_id, sum(quantity)::bigint AS reserved FROM (
    SELECT offer_id, quantity FROM pair WHERE state = 'held'
    UNION ALL SELECT offer_id, quantity FROM purchase WHERE state <> 'cancelled'
) counted GROUP BY offer_id;
-- Open needs that nobody is asked for, and that have waited for a day: most were put before coordinators.
CREATE TEMP TABLE stuck AS
SELECT id FROM need
WHERE state = 'open' AND opened_at < now() - interval '1 day' AND luck < 0.6
    AND NOT EXISTS (SELECT FROM total_of_need t WHERE t.demand_id = need.id AND t.held > 0);
ANALYZE pair;
ANALYZE purchase;

-- Needs. Clocks run, and none is about to ring but those of the last hour.
INSERT INTO demands_demand (id, reference, organisation_id, posted_by_id, item_id, quantity, quantity_kind,
    quantity_held, quantity_matched, quantity_received, standard_id, region_id, contact_name, contact_phone, needed_by,
    urgency, days_of_supply, state, state_code, state_note, opened_at, confirmed_at, escalates_at, escalating_since,
    ask_at, asked_at, stale_at, review_requested_at, created_at, updated_at)
SELECT need.id, 'A' || lpad(to_hex(need.id), 7, '0'), need.organisation_id, need.organisation_id, item_id,
    CASE WHEN is_unknown THEN NULL ELSE quantity END, CASE WHEN is_unknown THEN 'unspecified' ELSE 'exact' END,
    coalesce(held, 0), coalesce(matched, 0), coalesce(received, 0), standard_id, region_id,
    '接收人' || need.id % 1000, '139' || lpad((need.id % 100000000)::text, 8, '0'),
    CASE WHEN need.id % 2 = 0 THEN now() + (fresh * 30) * interval '1 day' END, urgency, need.id % 30, state,
    CASE WHEN state = 'stale' THEN 'nobody_confirmed' WHEN NOT is_verified THEN 'organisation_unverified'
         WHEN is_reviewed THEN 'quantity_unusual' ELSE '' END,
    CASE WHEN state IN ('paused', 'cancelled') THEN 'We have enough for now.' ELSE '' END,
    CASE WHEN state <> 'draft' THEN opened_at END, CASE WHEN state <> 'draft' THEN confirmed END,
    CASE WHEN is_reviewed OR state = 'open' AND stuck.id IS NULL
         THEN now() + CASE WHEN need.id % 200 = 0 THEN interval '55 minutes'
                           ELSE interval '2 hours' + fresh * interval '3 days' END
    END,
    CASE WHEN state <> 'draft' OR is_reviewed THEN opened_at END,
    CASE WHEN state <> 'draft' THEN confirmed + asks END,
    CASE WHEN state <> 'draft' AND is_asked THEN confirmed + asks END,
    CASE WHEN state <> 'draft' THEN confirmed + asks * 4 / 3 END,
    CASE WHEN is_reviewed THEN opened_at END, opened_at, greatest(opened_at, confirmed)
FROM need LEFT JOIN total_of_need total ON total.demand_id = need.id LEFT JOIN stuck ON stuck.id = need.id
CROSS JOIN LATERAL (
    SELECT state = 'draft' AND is_verified AND need.id % 10 = 0 AS is_reviewed,
        state = 'open' AND urgency <> 'emergency' AND need.id % 10 = 1 AND opened_at < now() - interval '14 days'
            AS is_asked,
        CASE urgency WHEN 'emergency' THEN interval '54 hours' WHEN 'urgent' THEN interval '126 hours'
             ELSE interval '252 hours' END AS asks
) facts CROSS JOIN LATERAL (
    SELECT CASE WHEN state <> 'open' THEN opened_at WHEN is_asked THEN now() - asks * (1 + 0.1 * fresh)
                ELSE greatest(opened_at, now() - asks * 0.6 * fresh) END AS confirmed
) clocks;

-- Offers. Those that were matched send anywhere; of the others some only within their province.
INSERT INTO supply_offer (id, organisation_id, posted_by_id, item_id, standard_id, quantity, quantity_reserved,
    daily_capacity, minimum_order, lead_time_days, unit_price, is_donation, origin_region_id, ships_to,
    certificate_number, certificate_valid_until, state, state_code, state_note, published_at, confirmed_at, asked_at,
    match_requested_at, created_at, updated_at)
SELECT id, organisation_id, organisation_id, item_id, standard_id,
    -- Three in four of those that were matched have nothing left.
    coalesce(reserved, 0) + CASE WHEN reserved > 0 AND luck < 0.75 THEN 0 ELSE free END, coalesce(reserved, 0),
    CASE WHEN id % 4 = 0 THEN free END, (ARRAY[1, 1, 5, 10])[1 + id % 4], id % 12,
    CASE WHEN id % 20 > 0 THEN round((5 + 20 * luck)::numeric, 2) END, id % 20 = 0, region_id,
    CASE WHEN reserved IS NULL AND luck < 0.4 THEN ARRAY[left(region_id, 2) || '0000'] ELSE '{}' END,
    'C' || id, current_date + 30 + (id % 400)::int, state,
    CASE WHEN state = 'stale' THEN 'nobody_confirmed' ELSE '' END,
    CASE WHEN state IN ('paused', 'withdrawn') THEN 'Sold elsewhere.' ELSE '' END,
    CASE WHEN state <> 'draft' THEN published_at END, CASE WHEN state <> 'draft' THEN confirmed END,
    CASE WHEN state = 'published' AND id % 10 = 0 THEN confirmed + interval '10 days' END,
    -- The reach of gifts grows: they come again each day.
    CASE WHEN state = 'published' AND id % 20 = 0 THEN now() + (4 + 20 * fresh) * interval '1 hour' END,
    published_at, confirmed
FROM goods LEFT JOIN total_of_goods total ON total.offer_id = goods.id CROSS JOIN LATERAL (
    SELECT CASE WHEN state <> 'published' THEN published_at
                WHEN id % 10 = 0 THEN now() - (10 + 2 * fresh) * interval '1 day'
                ELSE now() - 9 * fresh * interval '1 day' END AS confirmed
) clocks;
INSERT INTO supply_offerchange (offer_id, item_id, changed_at)
SELECT id, item_id, now() FROM supply_offer WHERE state = 'published';

-- Matches. A backup and what replaced one were never asked, so they have no time to answer.
INSERT INTO matching_match (id, demand_id, offer_id, quantity, quantity_asked, rank, score, packed_terms, policy_version, tier,
    state, respond_by, responded_at, responded_by_id, decline_reason, lead_time_days, quantity_lost, created_at,
    updated_at)
SELECT id, demand_id, offer_id, quantity, quantity, 1 + n, 0.5 + 0.4 * luck, reasons.terms, 1, 1, state,
    CASE WHEN state = 'held' THEN now() + (2 + 22 * luck) * interval '1 hour'
         WHEN state NOT IN ('standby', 'superseded') THEN made_at + interval '2 hours' END,
    CASE WHEN is_answered THEN answered_at END, CASE WHEN is_answered THEN supplier END,
    CASE WHEN state = 'declined' THEN (ARRAY['gone', 'price', 'distance', 'other'])[1 + id % 4]
         WHEN is_called_off AND id % 2 = 0 THEN 'other' ELSE '' END,
    CASE WHEN state = 'accepted' THEN id % 12 END, lost, made_at,
    CASE WHEN state IN ('held', 'standby') THEN made_at ELSE answered_at END
FROM reasons, pair CROSS JOIN LATERAL (
    SELECT made_at + interval '2 hours' AS answered_at,
        state IN ('accepted', 'declined') OR is_called_off AS is_answered
) answer;

-- Orders, and what was sent and received of them.
INSERT INTO fulfilment_order (id, match_id, placed_by_id, quantity, quantity_received, quantity_rejected, unit_price,
    currency, state, state_reason, created_at, updated_at)
SELECT id, match_id, supplier, quantity, CASE WHEN state IN ('delivered', 'closed') THEN quantity - lost ELSE 0 END,
    lost, 9.5, 'CNY', state, CASE WHEN state = 'cancelled' THEN 'The goods were sold.' ELSE '' END, made_at, done_at
FROM purchase CROSS JOIN LATERAL (SELECT least(now(), made_at + interval '2 days') AS done_at) moment;
INSERT INTO fulfilment_shipment (order_id, quantity, carrier, tracking_number, expected_on, shipped_at, shipped_by_id,
    created_at, updated_at)
SELECT id, quantity, 'SF', 'SF' || id, current_date + (id % 7)::int - 3, sent_at, supplier, sent_at, sent_at
FROM purchase CROSS JOIN LATERAL (SELECT least(now(), made_at + interval '1 day') AS sent_at) moment
WHERE state IN ('shipped', 'delivered', 'closed');
INSERT INTO fulfilment_delivery (order_id, quantity_accepted, quantity_rejected, reason, received_at, received_by_id,
    created_at, updated_at)
SELECT id, quantity - lost, lost, CASE WHEN lost > 0 THEN 'damaged' ELSE '' END, came_at, requester, came_at, came_at
FROM purchase CROSS JOIN LATERAL (SELECT least(now(), made_at + interval '2 days') AS came_at) moment
WHERE state IN ('delivered', 'closed');
INSERT INTO fulfilment_contactreveal (match_id, user_id, at)
SELECT match_id, requester, made_at FROM purchase WHERE state <> 'cancelled';

-- Escalations: to the desk of the province, and of every second need to that of the nation.
INSERT INTO matching_escalation (demand_id, organisation_id, level, tried, since, created_at, updated_at)
SELECT need.id, desk.id, CASE WHEN desk.region_id = 'CN' THEN 2 ELSE 1 END, '{}', opened_at,
    opened_at + interval '10 hours', opened_at + interval '10 hours'
FROM need JOIN accounts_organisation desk ON desk.kind = 'coordinator'
    AND (desk.region_id = left(need.region_id, 2) || '0000' OR desk.region_id = 'CN' AND need.id % 2 = 0)
WHERE need.id IN (SELECT id FROM stuck);
UPDATE demands_demand SET escalation_level = 1 + (id + 1) % 2 WHERE id IN (SELECT demand_id FROM matching_escalation);

-- What was told whom. Messages and notifications are kept for a time, so only what happened since is here.
CREATE TEMP TABLE news AS
SELECT event, key, organisation_id, at, jsonb_build_object(
    'demand_id', demand_id, 'match_id', pair.id, 'order_id', order_id,
    'reference', 'A' || lpad(to_hex(demand_id), 7, '0'),
    'organisation', requester.name, 'supplier', supplier.name, 'item', item.names, 'offered_item', item.names,
    'unit', item.unit, 'quantity', quantity, 'quantity_kind', 'exact', 'asked', quantity, 'ordered', quantity,
    'region', item.region, 'urgency', urgency, 'needed_by', NULL, 'respond_by', at + interval '1 day',
    'is_substitute', false, 'instead_of', NULL, 'why', 'ended', 'reasons', '[]'::jsonb, 'suppliers', '[]'::jsonb
) AS context
FROM pair
LEFT JOIN (SELECT id AS order_id, match_id FROM purchase) ordered ON ordered.match_id = pair.id
JOIN accounts_organisation requester ON requester.id = pair.requester
JOIN accounts_organisation supplier ON supplier.id = pair.supplier
JOIN (
    SELECT need.id, jsonb_build_object('en', ware.name_en, 'zh-hans', ware.name_zh) AS names,
        jsonb_build_object('en', unit_id, 'zh-hans', unit_id) AS unit,
        jsonb_build_object('en', region_id, 'zh-hans', region_id) AS region
    FROM need JOIN catalogue_item ware ON ware.id = need.item_id
) item ON item.id = pair.demand_id
CROSS JOIN LATERAL (
    SELECT pair.state NOT IN ('standby', 'superseded') AS was_asked, order_id IS NOT NULL AS is_ordered
) facts
CROSS JOIN LATERAL (VALUES
    ('match.proposed', pair.id, pair.supplier, interval '0', was_asked),
    ('demand.suppliers_asked', pair.id, pair.requester, interval '0', was_asked),
    ('match.accepted', pair.id, pair.requester, interval '2 hours', is_ordered),
    ('order.confirmed', order_id, pair.supplier, interval '2 hours', is_ordered),
    ('order.cancelled', order_id, pair.supplier, interval '3 hours', is_called_off),
    ('order.cancelled', order_id, pair.requester, interval '3 hours', is_called_off),
    ('match.expired', pair.id, pair.supplier, interval '2 hours', pair.state = 'expired'),
    ('match.withdrawn', pair.id, pair.supplier, interval '2 hours', pair.state = 'cancelled' AND NOT is_called_off)
) AS told (event, about, organisation_id, after, is_due)
CROSS JOIN LATERAL (SELECT event || ':' || about AS key, made_at + after AS at) said
WHERE is_due AND at > now() - interval '60 days';
INSERT INTO notifications_message (uid, event, key, context, channel, address, language, user_id, organisation_id,
    state, attempts, due_at, sent_at, error, created_at, updated_at)
SELECT gen_random_uuid(), event, key, context, 'email', person.email, person.language, person.id, news.organisation_id,
    CASE WHEN failed THEN 'failed' ELSE 'sent' END, 1, at, CASE WHEN NOT failed THEN at END,
    CASE WHEN failed THEN 'No such mailbox' ELSE '' END, at, at
FROM news JOIN accounts_membership member USING (organisation_id)
JOIN accounts_user person ON person.id = member.user_id
CROSS JOIN LATERAL (SELECT person.id % 500 = 7 AS failed) mailbox ORDER BY at;
INSERT INTO notifications_notification (user_id, event, key, context, created_at, read_at)
SELECT user_id, event, key, context, at, CASE WHEN at < now() - interval '2 days' THEN at + interval '1 day' END
FROM news JOIN accounts_membership member USING (organisation_id) ORDER BY at;

-- The audit trail of all this, for the whole year.
INSERT INTO core_auditentry (at, actor_id, event, target_type, target_id, data)
SELECT at, actor, event, kind, id::text, '{}' FROM (
    SELECT opened_at AS at, organisation_id AS actor, 'demand.opened' AS event, 'demands.demand' AS kind, id
    FROM need WHERE state <> 'draft'
  UNION ALL
    SELECT published_at, organisation_id, 'offer.published', 'supply.offer', id FROM goods WHERE state <> 'draft'
  UNION ALL
    SELECT made_at, supplier, 'match.accepted', 'matching.match', match_id FROM purchase
  UNION ALL
    SELECT made_at + interval '2 hours', supplier, 'match.declined', 'matching.match', id
    FROM pair WHERE state = 'declined'
  UNION ALL
    SELECT made_at, actor, event, kind, about FROM purchase CROSS JOIN LATERAL (VALUES
        (supplier, 'order.shipped', 'fulfilment.order', id), (requester, 'contact.seen', 'matching.match', match_id)
    ) AS acts (actor, event, kind, about) WHERE state <> 'cancelled'
) acts ORDER BY at;
