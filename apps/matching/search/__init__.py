"""The best offers of a need, found in the database without a look at every offer.

Nouns: offer index, cell (the offers of one item from one city), shortlist. The index has upper bounds; `scoring` has
the last word.
"""
