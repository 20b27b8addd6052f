"""What coordinators do about needs that are stuck, and what they tell each other of it.

Nouns: handling (who of them sees to a need, since when), desk note (what one of them wrote down or tried).
Verbs: take, leave, write down, act on many at once, note an answer that was given by phone.
"""
