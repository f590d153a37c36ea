"""What BM25 does to the texts of a language: its stemmer, its stop words, and how words are cut.

Stemmers are Snowball's, by PyStemmer. Stop words are bm25s's lists, which are NLTK's and, for
Korean, stopwords-iso's; most languages have none. Scripts without spaces between words are cut into
overlapping trigrams of characters (McNamee and Mayfield, Information Retrieval 2004), Chinese and
Japanese into single characters: docs/first-stages.md has what was measured.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from bench.core.errors import nearest_of

Cutting = Literal["words", "trigrams"]
LATIN = "LATIN"


class Language(NamedTuple):
    """A language by its ISO 639-1 code and its English name. `script` is the first word of the
    names that Unicode gives most of its letters.
    """

    code: str
    name: str
    stemmer: str | None = None
    stopwords: str | None = None
    script: str = LATIN
    cutting: Cutting = "words"


LANGUAGES = (
    Language("ar", "arabic", "arabic", script="ARABIC"),
    Language("bg", "bulgarian", script="CYRILLIC"),
    Language("bn", "bengali", script="BENGALI"),
    Language("ca", "catalan", "catalan"),
    Language("cs", "czech", "czech"),
    Language("da", "danish", "danish", "danish"),
    Language("de", "german", "german", "german"),
    Language("el", "greek", "greek", script="GREEK"),
    Language("en", "english", "english", "english"),
    Language("eo", "esperanto", "esperanto"),
    Language("es", "spanish", "spanish", "spanish"),
    Language("et", "estonian", "estonian"),
    Language("eu", "basque", "basque"),
    Language("fa", "persian", "persian", script="ARABIC"),
    Language("fi", "finnish", "finnish"),
    Language("fr", "french", "french", "french"),
    Language("ga", "irish", "irish"),
    Language("he", "hebrew", script="HEBREW"),
    Language("hi", "hindi", "hindi", script="DEVANAGARI"),
    Language("hu", "hungarian", "hungarian"),
    Language("hy", "armenian", "armenian", script="ARMENIAN"),
    Language("id", "indonesian", "indonesian"),
    Language("it", "italian", "italian", "italian"),
    Language("ja", "japanese", script="HIRAGANA"),
    Language("km", "khmer", script="KHMER", cutting="trigrams"),
    Language("ko", "korean", stopwords="korean", script="HANGUL"),
    Language("lo", "lao", script="LAO", cutting="trigrams"),
    Language("lt", "lithuanian", "lithuanian"),
    Language("my", "burmese", script="MYANMAR", cutting="trigrams"),
    Language("ne", "nepali", "nepali", script="DEVANAGARI"),
    Language("nl", "dutch", "dutch", "dutch"),
    Language("no", "norwegian", "norwegian", "norwegian"),
    Language("pl", "polish", "polish"),
    Language("pt", "portuguese", "portuguese", "portuguese"),
    Language("ro", "romanian", "romanian"),
    Language("ru", "russian", "russian", "russian", script="CYRILLIC"),
    Language("sr", "serbian", "serbian", script="CYRILLIC"),
    Language("st", "sesotho", "sesotho"),
    Language("sv", "swedish", "swedish", "swedish"),
    Language("sw", "swahili"),
    Language("ta", "tamil", "tamil", script="TAMIL"),
    Language("te", "telugu", script="TELUGU"),
    Language("th", "thai", script="THAI", cutting="trigrams"),
    Language("tr", "turkish", "turkish", "turkish"),
    Language("uk", "ukrainian", script="CYRILLIC"),
    Language("ur", "urdu", script="ARABIC"),
    Language("vi", "vietnamese"),
    Language("yi", "yiddish", "yiddish", script="HEBREW"),
    Language("yo", "yoruba"),
    Language("zh", "chinese", script="CJK"),
)
BY_NAME = {
    **{language.code: language for language in LANGUAGES},
    **{language.name: language for language in LANGUAGES},
    "nb": next(language for language in LANGUAGES if language.code == "no"),
    "nn": next(language for language in LANGUAGES if language.code == "no"),
}

SPOKEN = tuple(BY_NAME[code] for code in ("en", "es", "fr", "pt", "de"))
"""Languages in Latin letters by the number of people who speak them, English first."""


def language_of(name: str) -> Language:
    """Return a language by its code or its name. Raises ValueError naming the nearest valid
    ones.
    """
    language = BY_NAME.get(name.lower())
    if language is not None:
        return language
    if close := nearest_of(name, BY_NAME):
        raise ValueError(f"no language of this name: did you mean '{close}'?")
    codes = ", ".join(language.code for language in LANGUAGES)
    raise ValueError(f"no language of this name; known: {codes}, or their English names")


def codes_of(script: str) -> list[str]:
    """Return the codes of the languages that are written in a script; of the many in Latin letters,
    those that most people speak.
    """
    if script == LATIN:
        return [language.code for language in SPOKEN]
    return [language.code for language in LANGUAGES if language.script == script]
