"""What every other app stands on: errors people understand, state moves that cannot race, and the audit trail.

Nouns: rule violation, move, audit entry. Verbs: move, record. This app is closed: it knows no other app.
"""
