"""How a plan becomes holds, and how holds end: the writers of matches.

`commit` is one call of the database, `plans` carries out a plan and notifies both sides, `release` ends holds from our
side, and `acceptance` is what fulfilment does with a supplier's yes.
"""
