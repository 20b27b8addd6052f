"""The verbs of who acts: the only writer of this app's tables.

Each stands in the module that is named for it, and edges and apps above find it here. Invitations are beside it, in
`invitations.py`.
"""

from apps.accounts.access import (
    amend_user,
    end_access,
    freeze_account,
    issue_token,
    remove_factor,
    revoke_token,
    was_frozen_before,
)
from apps.accounts.membership import (
    add_member,
    change_role,
    keep_default_organisation,
    leave_organisation,
    remove_member,
)
from apps.accounts.notices import take_pending_notices, take_unannounced, tell
from apps.accounts.organisations import (
    amend_organisation,
    check_identifier,
    import_organisation,
    register_organisation,
)
from apps.accounts.verification import (
    VERIFICATION_LASTS,
    add_evidence,
    check_not_merged,
    clear_verification,
    expire_verifications,
    has_acted_for,
    reject_organisation,
    submit_for_verification,
    verify_organisation,
)

# A new verb is listed here: mypy refuses to import a name from this module that is not.
__all__ = [
    "VERIFICATION_LASTS",
    "add_evidence",
    "add_member",
    "amend_organisation",
    "amend_user",
    "change_role",
    "check_identifier",
    "check_not_merged",
    "clear_verification",
    "end_access",
    "expire_verifications",
    "freeze_account",
    "has_acted_for",
    "import_organisation",
    "issue_token",
    "keep_default_organisation",
    "leave_organisation",
    "register_organisation",
    "reject_organisation",
    "remove_factor",
    "remove_member",
    "revoke_token",
    "submit_for_verification",
    "take_pending_notices",
    "take_unannounced",
    "tell",
    "verify_organisation",
    "was_frozen_before",
]
