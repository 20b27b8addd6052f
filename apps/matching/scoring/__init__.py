"""How well an offer fits a need, and who is served first: pure arithmetic on frozen dataclasses.

Nouns: need, source, term, candidate. A filter refuses a source; the terms of all others add up to a score.
"""
