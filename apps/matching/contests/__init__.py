"""Contested items from the rows to the rows: who has which group, what is read, and the verb that allocates it.

`claims` writes down which groups of items are contested and gives each to one worker, and `reallocation` allocates a
claimed group within a budget of seconds. The decision itself is made in the room `allocation`, and `holds` writes it.
"""
