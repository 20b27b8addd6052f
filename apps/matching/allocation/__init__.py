"""Who gets how much when several needs want the same goods: pure, on dataclasses and arrays, without Django.

`sequential` serves one need after the other, at once. `contested` solves all needs of an item together and improves
on that. docs/matching.md says what both guarantee.
"""
