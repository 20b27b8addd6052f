"""The numbers that a ministry may set.

Nouns: policy (one version of weights, tiers, shares, clocks and phases), values, draft. Verbs: draft, make (a new
version; none is ever changed), put into force, restore. A decision reads the current policy once, for everything that
is decided together. It keeps the version beside its result.
"""
