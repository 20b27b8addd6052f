"""What holds for every request, whatever it asks for: the rules of the conversation.

Nouns: token, scope, rate, idempotency key, cursor, problem document. `resource` is the viewset that all resources are
built on and brings the rules together; `schema` describes them. Nothing here knows a resource.
"""
