"""What others may take away in bulk, and what everybody may see in sums.

Nouns: dataset, column, pull, cell. Verbs: stream, sum up. Reads only. Rows are those that the user may see,
and contacts are in none of them.
"""
