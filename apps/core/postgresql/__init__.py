"""Django's connection to PostgreSQL, for a server that may hang: it is given up in time and then left alone."""
