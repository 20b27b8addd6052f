"""From promise to receipt.

Nouns: order, shipment, delivery, contact reveal. Verbs: accept (which makes the order), ship, deliver, close, cancel,
repeat, reveal. Only what is received and accepted counts as met.
"""
