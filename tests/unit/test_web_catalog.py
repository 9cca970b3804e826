"""Every sentence of the pages has its German one, with the same names in it; none is left over."""

import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import helvetia
from helvetia.kernel.errors import HelvetiaError
from helvetia.web.dashboard.catalog import LANGUAGES, LOCALE_PATH, catalog_of
from helvetia.web.problems import HTTP_WORDS

DASHBOARD = LOCALE_PATH.parent
KEYWORDS = {"say": None, "many": (1, 2)}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]


NEVER_ON_A_PAGE = (
    "helvetia.agent",
    "helvetia.metering",
    "helvetia.webhooks",
    "helvetia.meter_reports.errors",
    "helvetia.meter_reports.redirection.errors",
)


def extracted() -> set[str]:
    found = extract_from_dir(DASHBOARD, METHODS, keywords=KEYWORDS)
    said = {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}
    return said | set(error_messages()) | {detail for _, detail in HTTP_WORDS.values()}


def error_messages() -> Iterator[str]:
    """What every expected error says that a page may have to show."""
    for module in pkgutil.walk_packages(helvetia.__path__, "helvetia."):
        if not module.name.startswith(NEVER_ON_A_PAGE) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = HelvetiaError.__subclasses__()
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if not error.__module__.startswith(NEVER_ON_A_PAGE) and error.__module__.startswith("helvetia."):
            yield inspect.cleandoc(error.__doc__ or "")


def sentences(language: str) -> Iterator[tuple[Path, tuple[str, ...], tuple[str, ...]]]:
    for path in sorted((LOCALE_PATH / language).glob("*.po")):
        for message in read_po(StringIO(path.read_text()), locale=language, abort_invalid=True):
            if message.id:
                source = (message.id,) if isinstance(message.id, str) else tuple(message.id)
                target = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
                yield path, source, target


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_sentence_is_translated_and_no_translation_is_left_over(language: str) -> None:
    translated = {source[0] for _, source, _ in sentences(language)}
    assert extracted() - translated == set(), "without a translation"
    assert translated - extracted() == set(), "no longer said anywhere"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_translation_names_what_the_sentence_names(language: str) -> None:
    for path, source, target in sentences(language):
        assert len(source) == len(target), f"{path.name}: {source[0]}"
        for one, other in zip(source, target, strict=True):
            assert other.strip(), f"{path.name}: nothing said for {one!r}"
            assert set(re.findall(r"{(\w+)}", one)) == set(re.findall(r"{(\w+)}", other)), f"{path.name}: {one!r}"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_sentence_in_two_files_reads_the_same(language: str) -> None:
    kept = {(source[0], target) for _, source, target in sentences(language)}
    twice = [source for source, count in Counter(source for source, _ in kept).items() if count > 1]
    assert twice == []


def test_language_without_files_speaks_english() -> None:
    assert catalog_of("en").one("Pay {amount} now") == "Pay {amount} now"
    assert catalog_of("en").plural("{count} day", "{count} days", 2) == "{count} days"
