"""The REST edge, `/api/v1/`.

Nouns: resource, problem document, scope, idempotency key. Three rooms, each of which knows only those after it:
`resources` says what can be asked for, `protocol` what holds for every request, and `representation` how values and
rows stand in JSON. Serializers check and shape, services decide, and a row that the caller may not see is not found.
"""
