"""A draft of the policy tried on the needs of the last days: what would have been given to whom.

`replay` is pure; `history` loads what it needs; `previews` runs it in the background and keeps what came out.
"""
