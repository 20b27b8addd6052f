"""The pages of the web site: one thin view per step, forms in words, no JavaScript needed.

Nouns: page, form, navigation. A view has one shape: fetch what the user may see, form, service, redirect. Looks live in
templates/ and in four stylesheets. `wording.py` writes quantities and `templatetags/portal.py` places, states and
times, the same way on every page.
"""
