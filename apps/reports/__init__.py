"""Reports of abuse, and what becomes of them.

Nouns: report (somebody says that an offer, a need, a match, an order or an organisation is not what it seems), measure.
Verbs: file, decide, appeal, decide an appeal. A report is a case for the desk. Its decision, with a reason, goes to
both sides; a post that is blocked, or an organisation that is suspended by it, may appeal to somebody else.
"""
