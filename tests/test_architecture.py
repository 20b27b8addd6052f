"""The house rules, so that they are code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

from apps.core.models import TimeStamped

ROOT = Path(__file__).resolve().parent.parent
APPS = sorted(path.parent for path in (ROOT / "apps").glob("*/__init__.py"))
BANNED = {"utils", "common", "helpers", "selectors", "managers", "signals", "misc", "base"}
PURE = {
    "clocks",
    "disclosure",
    "faults",
    "hindrances",
    "identifiers",
    "plausibility",
    "regions",
    "replay",
    "standards",
    "terms",
    "units",
    "values",
}
PURE_ROOMS = {ROOT / "apps/matching/scoring", ROOT / "apps/matching/allocation"}


def modules() -> Iterator[Path]:
    for app in APPS:
        yield from (path for path in app.rglob("*.py") if "migrations" not in path.parts)


def imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else str(path)


@pytest.mark.parametrize("app", APPS, ids=name)
def test_an_app_says_what_it_is_for_in_a_docstring_and_holds_no_code_there(app: Path) -> None:
    tree = ast.parse((app / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_nothing_is_named_for_having_no_place() -> None:
    assert [name(path) for path in modules() if path.stem in BANNED or path.parent.name in BANNED] == []


def test_core_is_closed() -> None:
    assert {path.name for path in (ROOT / "apps/core").glob("*.py")} - {"apps.py"} == {
        "__init__.py",
        "audit.py",
        "errors.py",
        "models.py",
        "sql.py",
        "states.py",
    }


def test_services_know_no_edge() -> None:
    """Neither Celery, nor DRF, nor a request, nor the network."""
    banned = re.compile(
        r"^(celery|rest_framework|httpx|requests|smtplib|apps\.\w+\.tasks)\b|^django\.(http|core\.mail)\b"
    )
    found = {
        name(path): sorted(module for module in imports(path) if banned.match(module))
        for path in modules()
        if path.stem == "services"
    }
    assert {path: bad for path, bad in found.items() if bad} == {}


def test_pure_modules_know_neither_django_nor_chance_nor_the_clock() -> None:
    """The clock is an argument: they may name the types of datetime, not ask it."""
    banned = re.compile(r"^(django|random|time|celery|rest_framework|apps\.\w+\.(models|services))(\.|$)")
    for path in modules():
        if path.stem not in PURE and path.parent not in PURE_ROOMS:
            continue
        assert sorted(module for module in imports(path) if banned.match(module)) == [], name(path)
        assert not re.search(r"\.(now|today|utcnow)\(", path.read_text(encoding="utf-8")), name(path)


def test_models_do_not_override_save() -> None:
    found = [
        model.__name__
        for model in apps.get_models()
        if model.__module__.startswith("apps.") and {"save", "delete"} & set(vars(model))
    ]
    assert found == []


def test_moves_cover_every_state() -> None:
    for model in apps.get_models():
        if not (model.__module__.startswith("apps.") and hasattr(model, "MOVES")):
            continue
        field = model._meta.get_field("state")
        assert isinstance(field, models.Field)
        states = {value for value, _label in field.flatchoices}
        assert {str(state) for state in model.MOVES} == states, model.__name__
        assert {str(to) for targets in model.MOVES.values() for to in targets} <= states, model.__name__


def test_every_state_and_quantity_is_guarded_by_the_database() -> None:
    """`choices=` alone constrains nothing."""
    unguarded = []
    for model in apps.get_models():
        if not model.__module__.startswith("apps."):
            continue
        guarded = " ".join(
            str(constraint.condition)
            for constraint in model._meta.constraints
            if isinstance(constraint, models.CheckConstraint)
        )
        unguarded += [
            f"{model.__name__}.{field.name}"
            for field in model._meta.concrete_fields
            if (field.name == "state" or re.match(r"quantity(_(?!kind)|$)", field.name))
            and not re.search(rf"['(]{field.name}(__\w+)?[')]", guarded)
        ]
    assert unguarded == []


def test_suppressions_have_a_code_and_a_reason() -> None:
    bare = re.compile(r"#\s*(?:noqa(?!: [A-Z]+\d+(?:, ?[A-Z]+\d+)*  ?\S)|type: ignore(?!\[[\w, -]+\]  # \S))")
    found = [
        f"{name(path)}:{number}"
        for path in [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "cosmomatch").glob("*.py")]
        if path.name != "test_architecture.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []


def test_every_row_with_a_time_of_change_has_the_trigger_that_keeps_it() -> None:
    forgetful = [
        model.__name__
        for model in apps.get_models()
        if issubclass(model, TimeStamped)
        and "keep_updated_at" not in {trigger.name for trigger in getattr(model._meta, "triggers", ())}
    ]
    assert forgetful == []


def test_every_test_that_the_documents_name_is_there() -> None:
    """A promise names the test that holds it; `test_the_beginning_…` stands for every test that begins so."""
    tests = {
        found
        for path in (ROOT / "tests").rglob("test_*.py")
        for found in [path.name, *re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))]
    }
    named = {
        (document.name, named)
        for document in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
        for named in re.findall(r"`(?:tests/[\w/]*/)?(test_\w+(?:\.py|…)?)`", document.read_text(encoding="utf-8"))
    }
    assert named, "the documents name tests"
    missing = {
        (document, test)
        for document, test in named
        if not any(known.startswith(test[:-1]) if test.endswith("…") else known == test for known in tests)
    }
    assert missing == set()
