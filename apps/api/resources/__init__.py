"""What can be asked for: one file for each resource, and one address or a few in each.

A file reads top to bottom: serializers of requests, serializers of answers, filter set, viewset. `outlook` is a part of
demands with an address of its own; `description` is what the API says of itself.
"""
