"""Words in texts of any script, as the lexical first stage and the word-overlap baseline compare
them.

Texts are compared in Unicode's composed form (NFC) and without regard to case. A combining mark
belongs to its letter: Python's `\\w` does not match marks, so that patterns made of it alone cut
Hindi, Tamil or vocalised Arabic at every vowel sign. `\\p{M}` in a pattern is any mark, as in
Unicode's regular expressions (UTS #18).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby

IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_LETTER = f"[^\\W{IDEOGRAPHS}]"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
"""Thai, Lao, Burmese and Khmer, which put no spaces between words: there, a mark is where text is
cut. The pieces are no words, and still serve far better than whole phrases (Thai questions of
XQuAD-R: nDCG@10 .67 against .17, measured before single letters were kept as well).
"""
# a joiner after a mark is a part of the word in scripts of India; after a letter it parts the
# halves of a Persian compound
_MARKS = f"(?![{_UNSPACED}])[\\p{{M}}][\\p{{M}}\\u200c\\u200d]*"
WORD = f"\\w+(?:{_MARKS}\\w*)*"
"""Runs of letters with their marks, digits and underscores."""
TOKEN = "|".join(
    (
        f"[{IDEOGRAPHS}]",
        f"{_LETTER}{{2,}}(?:{_MARKS}{_LETTER}*)*",
        f"{_LETTER}(?:{_MARKS}{_LETTER}*)+",
        f"(?=\\w)[{_UNSPACED}]",
    )
)
"""Words of two letters, digits or marks and more, as bm25s and scikit-learn cut them; each Han
character or kana on its own, since Chinese and Japanese put no spaces between words; and single
letters of Thai, Lao, Burmese and Khmer, of which marks leave little else.
"""
_IN_WORD = "[\\w\\p{M}]"
TRIGRAM = f"(?=((?<!{_IN_WORD}){_IN_WORD}{{1,2}}(?!{_IN_WORD})|{_IN_WORD}{{3}}))"
"""Every three characters in a row of a run of letters, marks and digits; a shorter run is whole."""

_STEMMERS: Mapping[str, frozenset[str]] = {
    "arabic": frozenset({"ARABIC"}),
    "armenian": frozenset({"ARMENIAN"}),
    "greek": frozenset({"GREEK"}),
    "hindi": frozenset({"DEVANAGARI"}),
    "nepali": frozenset({"DEVANAGARI"}),
    "persian": frozenset({"ARABIC"}),
    "russian": frozenset({"CYRILLIC"}),
    "serbian": frozenset({"CYRILLIC", "LATIN"}),
    "tamil": frozenset({"TAMIL"}),
    "yiddish": frozenset({"HEBREW"}),
}
"""The scripts of Snowball's stemmers; all others read Latin."""
_LATIN = frozenset({"LATIN"})
_CLASS_ENDS = ("]", "[]", "[^]")
"""What ends a class of characters from within: a bracket opens none there."""


def normal(text: str) -> str:
    """Return a text as it is compared: in lower case and composed (NFC)."""
    lower = text.lower()
    if lower.isascii():
        return lower
    return unicodedata.normalize("NFC", lower)


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern ready for use, `\\p{M}` in it standing for any combining mark. Raises
    re.error for what is no pattern.
    """
    if r"\p{M}" not in pattern:
        return re.compile(pattern)
    pieces: list[str] = []
    in_class = False
    for piece in re.findall(r"\\p\{M\}|\\.|\[\^?\]?|.", pattern, re.DOTALL):
        if piece != r"\p{M}":
            pieces.append(piece)
        elif in_class:
            pieces.append(_marks())
        else:
            pieces.append(f"[{_marks()}]")
        if in_class:
            in_class = piece not in _CLASS_ENDS
        else:
            in_class = piece.startswith("[")
    return re.compile("".join(pieces))


def unserved_script(stemmer: str, texts: Iterable[str]) -> tuple[str, list[str]] | None:
    """Return the script of most letters of the texts, and the stemmers that read it, where this
    stemmer does not; None where it does.
    """
    letters: Counter[str] = Counter()
    for text in texts:
        letters.update(filter(str.isalpha, text))
    if not letters:
        return None
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[unicodedata.name(letter, "").partition(" ")[0]] += count
    script, count = scripts.most_common(1)[0]
    if script in _STEMMERS.get(stemmer, _LATIN) or 2 * count <= letters.total():
        return None
    return script, sorted(name for name, served in _STEMMERS.items() if script in served)


@cache
def _marks() -> str:
    """Return the combining marks (Mn, Mc, Me) of Python's Unicode version, as the inside of a
    class.
    """
    codes = [
        code
        for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))
        if unicodedata.category(chr(code))[0] == "M"
    ]
    ranges = [
        [code for _, code in group]
        for _, group in groupby(enumerate(codes), lambda pair: pair[1] - pair[0])
    ]
    return "".join(f"{chr(codes[0])}-{chr(codes[-1])}" for codes in ranges)
