"""Importing a public relief board: its rows become organisations, demands and offers.

Nouns: board, party, line, remark. Verbs: read, map, import. Nothing is lost silently: what cannot be mapped is reported
with its row and the remark. This app owns no table.
"""
