"""The outbox: messages to people and systems, through which channel, and whether they arrived.

Nouns: notification (in the portal), message (one delivery through one channel), webhook endpoint, one-click link.
Verbs: queue, send, read, sign. This app knows no event: it takes a name, a recipient and a plain dict, and finds
templates by that name.
"""
