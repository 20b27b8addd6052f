"""Who gets how much of which offer when several needs want the same goods: pure, on dataclasses and arrays, no Django.

`sequential` serves one need after the other, within seconds of a post. `contested` solves all needs of an item together
as a min-cost flow and improves on that. `docs/matching/allocation.md` has the method, its guarantees and its sources.

The modules in the order of the computation: `groups`, `distances` and `market` lay needs and offers out as arrays;
`arcs` lists pairs; `priority` makes the weights; `flow`, `aggregation` and `pricing` solve; `repair` and
`consolidation` round; `greedy` fills up and competes; `outcome` writes down plan and reasons. A `row` is always the
index of a need, a `column` that of a source.
"""
