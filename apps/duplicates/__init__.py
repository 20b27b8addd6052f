"""Organisations that stand here twice: finding them, putting them before the desk, merging them, and taking that back.

A *key* is what an organisation is looked up by. *Evidence* says how alike two organisations are. A *proposal* puts a
pair before a coordinator, who dismisses it or merges the two. A *merge* keeps what it moved, so it can be undone
exactly.
"""
