"""Levers: what one act would do for many needs at once, e.g. that a supplier lowers its minimum order.

`acts` finds them, and `effects` decides with each of them carried out; both are pure. `counting` does so for all
open needs in the background and keeps the result with its moment. `pulling` carries a lever out, by asking whoever must
change something.
"""
