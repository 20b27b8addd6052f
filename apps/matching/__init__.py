"""Who gets what.

Nouns: match (an offer held for a demand until the supplier answers), standby, escalation, replay (what a draft of the
policy would have changed). Verbs: match, accept, decline, expire, take back, escalate, replay. Load, decide, write: one
read makes frozen dataclasses, a pure function decides, one transaction writes and drops whatever went meanwhile.

Locks are always taken in the same order, demands by key, then offers by key, then matches, so no two transactions wait
for each other in a circle.
"""
