"""The house rules, so that they are code."""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cssbeautifier
import pytest
from django.apps import apps
from django.db import models

from apps.core.models import TimeStamped

ROOT = Path(__file__).resolve().parent.parent
APPS = sorted(path.parent for path in (ROOT / "apps").glob("*/__init__.py"))
BANNED = {"utils", "common", "helpers", "selectors", "managers", "signals", "misc", "base"}
# Rooms and apps beside the product, and the edges: they talk to the world.
EDGES = {"api", "portal", "ops", "exports", "local", "boards", "demo", "evaluation"}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PURE = next(contract for contract in CONTRACTS if contract["name"].startswith("Pure"))


def modules() -> Iterator[Path]:
    for app in APPS:
        yield from (path for path in app.rglob("*.py") if "migrations" not in path.parts)


@cache
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
    # Django asks for a module of this name in an `ENGINE`.
    assert [name(path) for path in modules() if path.stem in BANNED or path.parent.name in BANNED] == [
        "apps/core/postgresql/base.py"
    ]


def test_core_is_closed() -> None:
    """A module that every app may import is added to this list with a reason in the commit, or goes to an app."""
    assert {path.name for path in (ROOT / "apps/core").glob("*.py")} - {"apps.py"} == {
        "__init__.py",
        "audit.py",
        "confined.py",
        "disclosure.py",
        "errors.py",
        "models.py",
        "plausibility.py",
        "posts.py",
        "quantities.py",
        "retention.py",
        "sql.py",
        "states.py",
        "triggers.py",
    }


def knows_the_database(found: set[str]) -> bool:
    return any(re.match(r"django\.db\b(?!\.models$)|apps\.\w+\.models\b", module) for module in found)


def edges_known(found: set[str]) -> list[str]:
    """Of the modules that one imports: Celery, DRF, a request, the network, and our own edges."""
    banned = re.compile(
        r"^(celery|rest_framework|httpx|httpcore|requests|smtplib|socket|urllib\.request|apps\.\w+\.tasks)\b"
        rf"|^django\.(http|shortcuts|core\.mail)\b|^apps\.({'|'.join(EDGES)})\b"
    )
    return sorted(module for module in found if banned.match(module))


def writers() -> Iterator[Path]:
    """Every module below the edges that has to do with tables, whatever its name and wherever it was moved.

    Left out are models (they only declare), the back office (an edge inside each app), the wrappers of Celery, and the
    channels of notifications, whose one purpose is the network.
    """
    for path in modules():
        app, *rooms = path.relative_to(ROOT / "apps").with_suffix("").parts
        edge = {"models", "admin", "tasks", "apps", "management", "templatetags", "channels"} & set(rooms)
        if app not in EDGES and not edge and knows_the_database(imports(path)):
            yield path


def test_no_writer_knows_an_edge() -> None:
    found = {name(path): edges_known(imports(path)) for path in writers()}
    assert {"apps/demands/services.py", "apps/notifications/sending.py"} <= set(found)
    assert {path: bad for path, bad in found.items() if bad} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from rest_framework.response import Response",
        "from django.http import HttpRequest",
        "from apps.demands.tasks import wake",
        "from apps.demands import tasks",
        "import httpx",
        "from apps.portal.web import page",
    ],
)
def test_a_writer_that_knows_an_edge_is_found_under_any_name(line: str, tmp_path: Path) -> None:
    path = tmp_path / "commit.py"
    path.write_text(f"from django.db import connection\n\ndef write():\n    {line}\n", encoding="utf-8")
    assert knows_the_database(imports(path))
    assert edges_known(imports(path))


def pure_modules() -> set[Path]:
    """What the contract of import-linter in pyproject.toml names; a package stands for all that is in it."""
    found = set()
    for module in PURE["source_modules"]:
        path = ROOT.joinpath(*module.split("."))
        found |= set(path.rglob("*.py")) if path.is_dir() else {path.with_suffix(".py")}
    return found


def imports_of_ours(path: Path) -> set[Path]:
    candidates = {ROOT.joinpath(*module.split(".")).with_suffix(".py") for module in imports(path)}
    return {candidate for candidate in candidates if candidate.exists()}


@cache
def is_arithmetic(path: Path) -> bool:
    """It imports, directly or not, nothing but the standard library, numbers and others like it."""
    outside = {
        module.split(".")[0]
        for module in imports(path)
        if module.split(".")[0] not in {"apps", "numpy", "ortools", *sys.stdlib_module_names}
    }
    impure = {"random", "time", "os", "secrets", "socket", "subprocess"} & imports(path)
    return not outside and not impure and all(is_arithmetic(each) for each in imports_of_ours(path))


def test_no_edge_adds_a_member_without_consent() -> None:
    """Pages, API and back office invite. Only an acceptance, registering and the demo make somebody a member."""
    files = sorted((ROOT / "apps").rglob("*.py"))
    callers = [str(path.relative_to(ROOT / "apps")) for path in files if re.search(r"\badd_member\(", path.read_text())]
    assert callers == [
        "accounts/invitations.py",
        "accounts/membership.py",
        "accounts/organisations.py",
        "demo/stage.py",
        "demo/story.py",
    ]


def test_every_pure_module_is_held_to_it() -> None:
    """So that a moved or new one cannot be forgotten: list it, or its package, in the contract in pyproject.toml."""
    candidates = {
        path
        for path in modules()
        if path.name != "__init__.py"
        and path.relative_to(ROOT / "apps").parts[0] not in EDGES
        and not {"management", "backtest"} & set(path.parts)
    }
    assert {name(path) for path in candidates if is_arithmetic(path)} - {name(path) for path in pure_modules()} == set()


def test_pure_modules_do_not_ask_the_clock() -> None:
    """The clock is an argument: they may name the types of datetime, not ask it. Their imports are import-linter's."""
    assert {"django", "random", "time"} <= set(PURE["forbidden_modules"])
    asking = re.compile(r"\.(now|today|utcnow)\(")
    assert [name(path) for path in sorted(pure_modules()) if asking.search(path.read_text(encoding="utf-8"))] == []


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


def tables() -> list[type[models.Model]]:
    """The models that have a table of their own: a proxy is guarded with the table that it shows."""
    return [model for model in apps.get_models() if not model._meta.proxy]


def test_every_state_and_quantity_is_guarded_by_the_database() -> None:
    """`choices=` alone constrains nothing."""
    unguarded = []
    for model in tables():
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
        for model in tables()
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


def test_a_class_name_means_one_thing() -> None:
    counted = Counter(
        node.name
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert {each for each, times in counted.items() if times > 1} - {"Meta", "Command"} == set()


@pytest.mark.parametrize("app", ["api", "matching"])
def test_an_app_with_rooms_has_at_most_ten_files_at_its_door(app: str) -> None:
    """Beside `__init__.py`, which holds a paragraph and no code."""
    assert len([path for path in (ROOT / "apps" / app).glob("*.py") if path.name != "__init__.py"]) <= 10


def test_migrations_hold_no_sql_of_functions_types_or_views() -> None:
    """It stands in .sql files with its current text, and a migration installs it."""
    made = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE|TYPE|VIEW|MATERIALIZED\s+VIEW)\b", re.IGNORECASE)
    found = {
        name(path)
        for path in (ROOT / "apps").glob("*/migrations/*.py")
        if made.search(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_no_test_reads_a_functions_source_or_patches_its_defaults() -> None:
    """Such a test breaks when nothing else does, and holds when the behaviour does not."""
    reads = re.compile(r"getsource|__kwdefaults__|__defaults__|__code__")
    found = [
        name(path)
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != "test_architecture.py" and reads.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=name)
def test_a_decision_has_its_date_and_status(page: Path) -> None:
    first = page.read_text(encoding="utf-8").split("\n\n")[1]
    assert re.match(r"\*\*Date\.\*\* (\d{4}-\d\d-\d\d|\w+ \d{4}).*\*\*Status\.\*\* \w", first, re.DOTALL), first


def test_views_know_no_template_tags() -> None:
    """What both write stands in a module of the portal."""
    found = [
        name(path)
        for path in (ROOT / "apps/portal").rglob("*.py")
        if path.parent.name != "templatetags" and any("templatetags" in module for module in imports(path))
    ]
    assert found == []


@pytest.mark.parametrize("path", sorted((ROOT / "apps/portal/static/portal").glob("*.css")), ids=name)
def test_stylesheets_have_one_declaration_a_line(path: Path) -> None:
    options = cssbeautifier.default_options()
    options.indent_size, options.end_with_newline = 2, True
    text = path.read_text(encoding="utf-8")
    assert text == cssbeautifier.beautify(text, options)
    assert max(map(len, text.splitlines())) <= 120


def test_names_of_tests_are_short_sentences() -> None:
    """At most 70 characters: a longer one says two things, and is two tests or a shorter sentence."""
    found = [
        f"{name(path)}: {test}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if len(test) > 70
    ]
    assert found == []


def test_lines_of_templates_have_at_most_120_characters() -> None:
    """Those of pages. In the text of a message, the end of a line is the end of a line."""
    found = [
        f"{name(path)}:{number}"
        for path in (ROOT / "templates").rglob("*.html")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
    ]
    assert found == []


def comment_shares() -> dict[str, float]:
    """By app: lines of comment per hundred lines of code, without blank lines."""
    lines: dict[str, Counter[bool]] = {}
    for path in modules():
        counted = lines.setdefault(path.relative_to(ROOT / "apps").parts[0], Counter())
        counted.update(line.lstrip().startswith("#") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {app: round(100 * each[True] / max(each[False], 1), 1) for app, each in sorted(lines.items())}


def test_comments_answer_what_a_stranger_asks(record_testsuite_property: Callable[[str, object], None]) -> None:
    """A floor for every app that strangers have read. `--junitxml` reports the share of every app."""
    shares = comment_shares()
    record_testsuite_property("comment_shares", shares)
    read = ("accounts", "catalogue", "core", "demands", "notifications", "policy", "supply")
    floors = {"api": 3.5, **dict.fromkeys(read, 4)}
    assert {app: shares[app] for app, floor in floors.items() if shares[app] < floor} == {}
