"""The sentences of the pages in other languages: `locale/<language>/*.po`, one file per part of the dashboard.

The English sentence is the key, so English needs no file and a sentence without a translation stays English. A test
holds every sentence of the source against the files: none missing, none left over, the same `{names}` in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = ("en", "de")
LOCALE_PATH = Path(__file__).parent / "locale"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Sentence → sentence, and singular sentence → its two forms."""

    singles: Mapping[str, str]
    plurals: Mapping[str, tuple[str, ...]]

    def one(self, text: str) -> str:
        return self.singles.get(text, text)

    def plural(self, one: str, other: str, count: int) -> str:
        """English and German agree: one thing is singular, any other number plural."""
        forms = self.plurals.get(one, (one, other))
        return forms[0] if count == 1 else forms[1]


@cache
def catalog_of(language: str) -> Catalog:
    """All files of a language, read once."""
    singles: dict[str, str] = {}
    plurals: dict[str, tuple[str, ...]] = {}
    for path in sorted((LOCALE_PATH / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=language, abort_invalid=True):
                if isinstance(message.id, tuple | list):
                    plurals[message.id[0]] = tuple(message.string or ())
                elif message.id:
                    singles[message.id] = str(message.string)
    return Catalog(singles=singles, plurals=plurals)
