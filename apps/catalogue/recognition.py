"""Finds the item of the catalogue that a written name means. Forms, boards and price lists write it in different ways.

The methods are tried from certain to doubtful: the name as it stands; one of several names that are joined by a slash
or in brackets; a name with a spelling mistake; and the end of the name, because in Chinese, and mostly in English, the
thing itself is named last.
"""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

# Traditional characters that occur in the names of these goods, and their simplified forms.
_SIMPLIFIED: Final = str.maketrans(
    "護醫檢測試劑體溫槍額儀監機術離膠氣過氫車線電紅殺製無紡噴條帶動點滅縫櫃頭濾顆塵療藥單廢棄內雙長鏡創飲紗繃輪養劍採樣顯診斷髮兒營壓縮週銀紙濕襪",
    "护医检测试剂体温枪额仪监机术离胶气过氢车线电红杀制无纺喷条带动点灭缝柜头滤颗尘疗药单废弃内双长镜创饮纱绷轮养剑采样显诊断发儿营压缩周银纸湿袜",
)
# 口罩（N95） names the goods twice; either may be the name that is known.
_BRACKETS: Final = re.compile(r"[(\[【{「]([^()\[\]【】{}「」]*)[)\]】}」]")
_JOINTS: Final = re.compile(r"\s*(?:[|/\\、,;&+\n]|或者?|以及|及|和|\bor\b|\band\b)\s*")
# Words before a name that say how urgent or how good the goods are to be. They do not say what the goods are.
_NOISE_BEFORE: Final = re.compile(r"^(?:急需|紧急|需要|采购|各类|各种|其他|其它|医院用|优质|合格|普通|标准)+")
# Sizes, counts and collective words after the name.
_NOISE_AFTER: Final = re.compile(
    r"(?:类产能|类|产能|等等|等|若干|用品|物资|产品|系列|大号|中号|小号|均码|各型号|大中小号|[0-9.,*x×#-]*(?:只|个|件|套|双|副|盒|箱|包|瓶|桶|升|毫升|台|人份|片|支|ml|l|kg|g)?"
    r"|\b(?:size)?\s*(?:xs|s|m|l|xl|xxl|small|medium|large))$"
)
# The ratio of difflib from which a name counts as misspelt: lower values confuse goods, higher ones miss spellings.
# Names of fewer than five characters differ too little from each other.
_SIMILAR: Final = 0.82
_LEAST_FOR_SIMILAR: Final = 5


class How(StrEnum):
    NAME = "name"
    PART = "part"  # one of several joined names, or the one in brackets
    SIMILAR = "similar"
    ENDING = "ending"


@dataclass(frozen=True)
class Recognised:
    """The item that was recognised, and the alias by which it was.

    `is_general` says that the names of other, more special items end in this alias; a specification may name one of
    them. `others` are the keys of items that were named beside this one.
    """

    key: str
    alias: str
    how: How
    is_general: bool
    others: tuple[str, ...] = ()


def plain(text: str) -> str:
    """A name for comparison: simplified characters, half-width forms, lower case, single blanks."""
    half = unicodedata.normalize("NFKC", text).translate(_SIMPLIFIED).casefold()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in half).split())


def _compact(text: str) -> str:
    """Without blanks, dashes, dots and quotes, which are written or left out at will."""
    return re.sub(r"[\s\-_·.'\"“”‘’:：。*#]", "", text)


# Only what is needed for comparing: “masks” and “mask” become equal, and a wrong singular on both sides does no harm.
def _singular(text: str) -> str:
    return re.sub(r"(?<=[a-z]{2})(?:(?<=[sxz])es|(?<=[cs]h)es|s)$", "", text)


class Names:
    """All names of all items. A name that two items share belongs to the first of them in the catalogue's order."""

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        """`names` are pairs of item key and name or alias."""
        self._keys: dict[str, str] = {}
        for key, name in names:
            self._keys.setdefault(_singular(_compact(plain(name))), key)

        # By length, so that the longest ending is found first.
        by_length: defaultdict[int, set[str]] = defaultdict(set)
        for name in self._keys:
            by_length[len(name)].add(name)
        self._by_length = sorted(by_length.items(), reverse=True)
        # How many names of other items end in this one: 口罩 says less than 外科口罩.
        self._generality = {
            name: sum(other.endswith(name) and self._keys[other] != key for other in self._keys)
            for name, key in self._keys.items()
        }
        # Boards repeat the same few names thousands of times. The cache belongs to the object, so it goes with its
        # names.
        self.recognise = lru_cache(maxsize=4096)(self._recognise)

    def _recognise(self, text: str) -> Recognised | None:
        """The item that `text` names, or None."""
        whole = plain(text)
        if name := self._known(whole):
            return self._found(name, How.NAME)

        parts = [name for part in self._parts(whole) if (name := self._known(part))]
        if parts:
            # The most special one of the names says most: of 口罩（N95） it is N95.
            best = min(parts, key=lambda name: self._generality[name])
            keys = dict.fromkeys(self._keys[name] for name in parts)
            return self._found(best, How.PART, *(key for key in keys if key != self._keys[best]))

        shortest = [variant for part in (whole, *self._parts(whole)) for variant in self._variants(part)]
        return self._by_similarity(shortest) or self._by_ending(shortest)

    def _known(self, text: str) -> str | None:
        return next((name for name in self._variants(text) if name in self._keys), None)

    def _found(self, name: str, how: How, *others: str) -> Recognised:
        return Recognised(self._keys[name], name, how, self._generality[name] > 0, others)

    @staticmethod
    def _parts(whole: str) -> list[str]:
        """The names that are joined or put in brackets, in their order."""
        inner = [part for part in _BRACKETS.findall(whole) if part]
        outer = _BRACKETS.sub(" ", whole)
        unbracketed = re.sub(r"[()\[\]【】{}「」]", "", whole)
        joined = [part for piece in (outer, *inner) for part in _JOINTS.split(piece) if part.strip()]
        qualified = [part + outer.strip() for part in inner]  # 酒精（95%） is 95%酒精
        return list(dict.fromkeys([unbracketed, *qualified, *joined]))

    @staticmethod
    def _variants(text: str) -> list[str]:
        """The text as it is, and with the words stripped that say how much or how urgent, not what."""
        variants = [text]
        # Twice at the end, because a size may follow a collective word: 手套类大号.
        for noise in (_NOISE_BEFORE, _NOISE_AFTER, _NOISE_AFTER):
            variants.append(noise.sub("", variants[-1]).strip())
        return list(dict.fromkeys(_singular(_compact(variant)) for variant in variants if _compact(variant)))

    def _by_similarity(self, texts: Sequence[str]) -> Recognised | None:
        """The most similar name, if it is similar enough. Its digits must be the same: 75 % is not 95 %."""
        for text in texts:
            if len(text) < _LEAST_FOR_SIMILAR:
                continue
            digits = re.findall(r"\d+", text)
            candidates = [name for name in self._keys if re.findall(r"\d+", name) == digits]
            close = difflib.get_close_matches(text, candidates, n=1, cutoff=_SIMILAR)
            if close:
                return self._found(close[0], How.SIMILAR)
        return None

    def _by_ending(self, texts: Sequence[str]) -> Recognised | None:
        for text in texts:
            for length, names in self._by_length:
                # An ending of one character is in too many names.
                ending = text[-length:]
                if 1 < length < len(text) and ending in names and not self._splits_word(text, length):
                    return self._found(ending, How.ENDING)
        return None

    @staticmethod
    def _splits_word(text: str, length: int) -> bool:
        """Whether the ending begins in the middle of a Latin word or a number: `gloves` in `foxgloves`."""
        before, first = text[-length - 1], text[-length]
        return before.isascii() and first.isascii() and before.isalnum() and first.isalnum()
