"""What can be needed or offered, and where: the words everyone else uses.

Nouns: category, item, alias, unit, pack, standard, satisfaction, substitution, region. Verbs: load_reference, search,
resolve, parse. Reference data only: it comes from `data/`, is corrected in the admin, and knows nobody who uses it.
"""
