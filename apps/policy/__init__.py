"""The numbers that a ministry may set.

Nouns: policy (one version of weights, tiers, shares and clocks), values. Verbs: make (a new version; none is ever
changed). Whoever decides by a policy reads the current one and notes its version beside the decision.
"""
