"""Evaluation: published requests replayed through the present matching, and measured as their authors did.

A *data set* says who offered and who asked for what and when, and how far they are apart. A *strategy* decides round by
round. *Shipments* are the result, and five *metrics* say how good it is. Data and rules are those of M. Samorani,
R. Bala, R. Jacob and S. He, "A Framework for PPE Matching" (package `ppe-match`). This app owns no table.
"""
