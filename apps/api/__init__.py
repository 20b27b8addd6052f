"""The REST edge, `/api/v1/`.

Nouns: resource, problem document, scope, idempotency key. One file for each resource reads top to bottom: serializers
of requests, serializers of answers, filter set, viewset. Serializers check and shape, services decide, and a row that
the caller may not see is not found.
"""
