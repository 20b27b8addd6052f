"""`manage.py messages --check`: no reader meets a string without its translation."""

import shutil
from pathlib import Path

import polib
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from apps.ops.management.commands import messages

COUNTED = "%(number)s other need"  # a singular with a plural


@pytest.fixture
def chinese(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A translation of its own, whole and compiled: what is tested here is the check, not today's locale/."""
    po = tmp_path / "zh_Hans" / "LC_MESSAGES" / "django.po"
    po.parent.mkdir(parents=True)
    settings.LOCALE_PATHS = [tmp_path]
    monkeypatch.setattr(messages, "collected", lambda: {(None, "Need"), ("a verb", "Order"), (None, COUNTED)})
    file = polib.POFile()
    file.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
    file.append(polib.POEntry(msgid="Need", msgstr="需求"))
    file.append(polib.POEntry(msgctxt="a verb", msgid="Order", msgstr="订购"))
    file.append(polib.POEntry(msgid=COUNTED, msgid_plural=f"{COUNTED}s", msgstr_plural={0: "另外 %(number)s 条需求"}))
    save(file, po)
    return po


def save(file: polib.POFile, po: Path) -> None:
    file.save(str(po))
    file.save_as_mofile(str(po.with_suffix(".mo")))


def entry(file: polib.POFile, text: str) -> polib.POEntry:
    return next(entry for entry in file if entry.msgid == text)


def check() -> None:
    call_command("messages", check=True)


def test_a_whole_translation_passes(chinese: Path) -> None:
    check()


def test_a_new_string_without_its_translation_fails(chinese: Path) -> None:
    file = polib.pofile(str(chinese))
    file.remove(entry(file, "Need"))
    save(file, chinese)
    with pytest.raises(CommandError, match="missing: 'Need'"):
        check()


def test_the_same_words_in_another_context_are_another_string(chinese: Path) -> None:
    file = polib.pofile(str(chinese))
    entry(file, "Order").msgctxt = "a noun"
    save(file, chinese)
    with pytest.raises(CommandError, match="missing: 'Order'"):
        check()


def test_an_empty_entry_fails(chinese: Path) -> None:
    file = polib.pofile(str(chinese))
    entry(file, "Need").msgstr = ""
    save(file, chinese)
    with pytest.raises(CommandError, match="empty: 'Need'"):
        check()


def test_an_empty_plural_fails(chinese: Path) -> None:
    file = polib.pofile(str(chinese))
    entry(file, COUNTED).msgstr_plural = {0: ""}
    save(file, chinese)
    with pytest.raises(CommandError, match="empty: '%"):
        check()


def test_a_fuzzy_entry_fails(chinese: Path) -> None:
    file = polib.pofile(str(chinese))
    entry(file, "Need").flags.append("fuzzy")
    save(file, chinese)
    with pytest.raises(CommandError, match="fuzzy: 'Need'"):
        check()


def test_a_translation_that_was_not_compiled_fails(chinese: Path) -> None:
    file = polib.pofile(str(chinese))
    entry(file, "Need").msgstr = "所需"
    file.save(str(chinese))
    with pytest.raises(CommandError, match="not compiled"):
        check()


def test_no_translation_at_all_fails(tmp_path: Path, settings: Settings) -> None:
    shutil.rmtree(tmp_path)
    settings.LOCALE_PATHS = [tmp_path]
    with pytest.raises(CommandError, match="no translations"):
        check()


def test_strings_are_found_in_python_and_in_templates(tmp_path: Path, settings: Settings) -> None:
    settings.BASE_DIR = tmp_path
    app, templates = tmp_path / "apps" / "any", tmp_path / "templates"
    app.mkdir(parents=True)
    templates.mkdir()
    (app / "models.py").write_text(
        '_("Need")\ntranslation.ngettext_lazy("%d need", "%d needs", n)\npgettext("a verb", "Order")\n_(variable)\n'
        '_("one "\n  "sentence")\n',
        encoding="utf-8",
    )
    (templates / "page.html").write_text(
        '{% load i18n %}<p title="{% translate \'Title\' %}">{% translate "Open" context "a state" %}</p>\n'
        '{{ _("Filtered")|upper }}{% blocktranslate count n=n %}{{ n }} line{% plural %}{{ n }} lines'
        "{% endblocktranslate %}",
        encoding="utf-8",
    )
    assert messages.collected() == {
        (None, "Need"),
        (None, "%d need"),
        ("a verb", "Order"),
        (None, "one sentence"),
        (None, "Title"),
        ("a state", "Open"),
        (None, "Filtered"),
        (None, "%(n)s line"),
    }
