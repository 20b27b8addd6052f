"""Trace-driven simulation: the needs of the last days are decided again under a draft of the policy.

`replay` is the simulation, and pure; `history` loads its trace; `previews` runs it in the background and keeps results.
"""
