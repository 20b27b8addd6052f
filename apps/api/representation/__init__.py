"""How values and rows look in JSON and in query parameters: the parts of which serializers of resources are made.

The fields of requests are strict. Each takes one JSON type and converts nothing, so that a client learns of its mistake
and does not find a changed value later. The fields of answers only describe a value for the schema; the values are read
from columns. Nothing here knows a resource or the rest of the protocol.
"""
