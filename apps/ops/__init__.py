"""Watching a deployment: health, readiness, metrics, the heartbeat, deploy checks, limits on requests.

Nouns: probe, problem, heartbeat. Verbs: probe, check, measure. This app owns no table.
"""
