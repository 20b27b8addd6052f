"""Desks: what coordinators are told of what was escalated to them, and how they ask one offer for one need.

Escalations are written by `escalation.py` above; `notices` sums them up in messages, `asking` holds by hand.
"""
