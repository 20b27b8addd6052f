"""A believable emergency to try the platform on: organisations, users, offers, needs and matches in every state.

Nouns: cast, stage, story. Verb: make. Every step goes through the services that people use. This app owns no table.
"""
