"""Data for others: datasets that partners pull in bulk, and sums that everybody may see.

Nouns: dataset, column, pull, tombstone, cell. Verbs: pull, sum up. Rows are those that the user may see, and none holds
a contact. No service here writes: what left an export is kept by triggers.
"""
