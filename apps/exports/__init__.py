"""Data for others: datasets that partners pull in bulk, and sums that everybody may see.

Nouns: dataset, column, pull, cell, publication. Verbs: pull, sum up, publish. This app reads, and writes only what it
publishes. Rows are those that the user may see, and none holds a contact.
"""
