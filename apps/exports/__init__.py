"""Data for others: datasets that partners pull in bulk, and sums that everybody may see.

Nouns: dataset, column, pull, tombstone, cell, publication. Verbs: pull, sum up, publish. Rows are those that the user
may see, and none holds a contact. What left an export is kept by triggers; services write what they publish, and delete
what is old.
"""
