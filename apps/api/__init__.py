"""The REST edge, `/api/v1/`.

Nouns: resource, problem, scope, idempotency key. One file per resource, top to bottom: what comes in, what
goes out, the filter, the viewset. Serializers shape, services decide; what the caller may not see is not there.
"""
