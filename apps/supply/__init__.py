"""What is offered.

Nouns: offer (an item, a quantity, where it lies and where it goes), reservation. Verbs: create, amend, publish,
pause, confirm, withdraw, reserve, release. `quantity` is all that is offered, `quantity_reserved` what is promised of
it; nothing is ever promised twice.
"""
