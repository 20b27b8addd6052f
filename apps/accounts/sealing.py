"""The secrets of second factors, sealed: whoever reads the database or a dump of it cannot make codes from them.

The seal is Fernet (AES-128-CBC, then HMAC-SHA256) by a key derived from SECRET_KEY. What was kept before there was a
seal is read as it is. After a change of SECRET_KEY, `manage.py reseal_factors` seals all with the new one.
"""

import base64
from typing import Final

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

_MARK: Final = "fernet:"
# The members of a factor's data that allauth seals. Passkeys keep a public key only.
_SEALED: Final = ("secret", "seed")


class SealingAdapter(DefaultMFAAdapter):
    """allauth's hook for what it keeps of factors, and for what it says of one that is refused."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("That is not right, or was used already. Please try again."),
    }

    def encrypt(self, text: str) -> str:
        return _MARK + _seal().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The text. Raises `InvalidToken` if neither SECRET_KEY nor SECRET_KEY_PREVIOUS has sealed it."""
        if not encrypted_text.startswith(_MARK):
            return encrypted_text
        return _seal().decrypt(encrypted_text.removeprefix(_MARK).encode()).decode()


def _seal() -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]])


def _derived(key: str) -> bytes:
    """A key of 256 bits, as Fernet takes it. The salt keeps it apart from every other use of SECRET_KEY."""
    kept = HKDF(SHA256(), length=32, salt=None, info=b"apps.accounts.sealing").derive(key.encode())
    return base64.urlsafe_b64encode(kept)


@transaction.atomic
def reseal_factors() -> int:
    """Seal the secrets of all factors with SECRET_KEY. Returns of how many."""
    adapter = SealingAdapter()
    factors = list(Authenticator.objects.select_for_update(no_key=True).order_by("pk"))
    for factor in factors:
        factor.data |= {
            name: adapter.encrypt(adapter.decrypt(factor.data[name])) for name in _SEALED if name in factor.data
        }
        factor.save(update_fields=["data"])
    return len(factors)
