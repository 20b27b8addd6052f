"""Who comes in, and for how long: allauth's doors with our rules. What changes an account is told to its owner."""
