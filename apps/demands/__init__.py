"""What is needed.

Nouns: demand (one line: an item, a quantity, a place, a time), reference (the lines of one post). Verbs: post, amend,
open, pause, resume, confirm, cancel. Demands do not know matching; they carry the time at which somebody asked to be
matched, which is all that matching needs to find them.
"""
