"""Running the program: servers of our own, the process group of `make run`, health, metrics, deploy checks.

Nouns: embedded server, process, heartbeat, problem. Verbs: start, stop, supervise, probe. This app owns no table.
"""
