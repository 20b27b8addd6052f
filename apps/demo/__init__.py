"""A believable emergency to try the platform on: organisations, users, offers, needs and matches in every state.

Nouns: cast, stage, story. Verb: make. The cast is data, in `data/`; every step of the story goes through the services
that people use. This app owns no table.
"""
