"""The back office: base classes of its pages for all apps; users, organisations and tokens; the audit trail of core."""

# Imported for what they register.
from apps.accounts.admin import organisations, users
from apps.accounts.admin.pages import (
    KeptAdmin,
    ReasonActionForm,
    WatchedAdmin,
    WatchedInline,
    acting,
    do_each,
)

__all__ = [
    "KeptAdmin",
    "ReasonActionForm",
    "WatchedAdmin",
    "WatchedInline",
    "acting",
    "do_each",
    "organisations",
    "users",
]
