"""Who acts, and what they may do.

Nouns: user, organisation, membership (with a role), evidence, API token. Verbs: register, amend, submit for
verification, verify, reject, invite, issue a token. Two words give access everywhere: `visible_to(user)` and
`can(user, permission, organisation)`.
"""
