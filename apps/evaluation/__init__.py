"""Real requests of the past, replayed through the decision of today, and measured as others measured theirs. Pure.

A *data set* is who offered and who asked for what and when, and how far they are apart; a *strategy* decides round by
round; *shipments* are what came of it; five *metrics* say how good that was. After M. Samorani, R. Bala, R. Jacob and
S. He, "A Framework for PPE Matching" (package `ppe-match`), whose data and rules these are.
"""
