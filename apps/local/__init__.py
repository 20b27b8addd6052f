"""Running everything on one machine with servers of our own: what `make run` does, and what the tests stand on.

Nouns: server, process, mail catcher. Verbs: start, join, supervise, stop. This app stands above all others, because it
runs them. It owns no table, and no deployment needs it.
"""
