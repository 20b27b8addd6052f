"""The numbers that a ministry may set.

Nouns: policy (one version of weights, tiers, shares, clocks and phases), values, draft. Verbs: draft, make (a new
version; none is ever changed), put into force, restore. Whoever decides by a policy reads the current one, once for all
that it decides together, and notes its version beside the decision.
"""
