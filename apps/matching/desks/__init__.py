"""Desks: what coordinators are told of what was escalated to them.

Escalations are written by `escalation.py` above; this room sums them up in messages.
"""
