"""Who gets what.

Nouns: match (an offer held for a demand until the supplier answers), backup, escalation, replay (what a draft of the
policy would have changed). Verbs: match, accept, decline, expire, take back, escalate, replay.

Every decision loads, decides and writes. One read makes frozen dataclasses, a pure function decides, and one
transaction writes, dropping what changed meanwhile. Locks are always taken in the same order (demands by key, offers by
key, matches), so no two transactions wait for each other in a circle.

Rooms: `scoring` (terms, eligibility, order), `search` (the best offers in the database), `allocation` (who gets how
much), `explanation` (why, and why not), `holds` (plans become rows), `simulation` (a draft of the policy replayed).
"""
