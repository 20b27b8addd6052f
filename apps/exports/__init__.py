"""Data for others: datasets that partners pull in bulk, and sums that everybody may see.

Nouns: dataset, column, pull, cell. Verbs: pull, sum up. This app only reads. Rows are those that the user may see,
and none holds a contact.
"""
