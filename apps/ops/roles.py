"""The role of the database as which web, workers and beat run, and what it may do. No Django here: apps.local reads it.

Whoever gets hold of the program's connection, by an injected statement or a stolen password, reads and writes rows. It
cannot take back what the audit trail says, empty a table, drop a trigger, or become more than it is. Migrations run as
the owner of the tables, whose password the program does not have.
"""

from typing import Final

PROGRAM: Final = "cosmomatch_program"

# Run by the owner after each migration. What the role must not have is not granted, so a new table is safe by itself.
GRANTS: Final = f"""
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO {PROGRAM};
    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {PROGRAM};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {PROGRAM};
    REVOKE UPDATE, DELETE ON core_auditentry FROM {PROGRAM};
    REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {PROGRAM};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {PROGRAM};
"""

# In a new cluster, by a superuser. The statistics tell the program when other roles write (exports/services.py).
CREATE: Final = f"""
    CREATE ROLE {PROGRAM} LOGIN;
    GRANT pg_read_all_stats TO {PROGRAM};
"""

# True where the role of this connection could change the audit trail, or could give itself the right to.
TOO_STRONG: Final = """
    SELECT rolsuper OR rolcreaterole
        OR EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND pg_has_role(tableowner, 'MEMBER'))
        OR has_table_privilege('core_auditentry', 'UPDATE, DELETE, TRUNCATE')
    FROM pg_roles WHERE rolname = current_user
"""
