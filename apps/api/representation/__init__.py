"""How values and rows stand in JSON and in query parameters: what the serializers of resources are built of.

The fields of requests are strict: each takes one JSON type and turns nothing into another, so that a client hears of
its mistake instead of finding a changed value later. The fields of answers only describe a value for the schema; the
values themselves are read from columns. Nothing here knows a resource or the rest of the protocol.
"""
