# Each command makes .venv with the locked packages first, if it is not there: apps/local/bootstrap.py.
PYTHON ?= python3
BASE = @exec $(PYTHON) apps/local/bootstrap.py base
DEV = @$(PYTHON) apps/local/bootstrap.py dev
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links
TEMPLATES = git ls-files templates | grep 'html$$'

.PHONY: run test long lint format check bench lock messages

run:  ## everything, on http://127.0.0.1:8000
	$(BASE) manage.py run

# Else each of the processes compiles the program and pytest's own form of the tests anew.
test long check: export PYTHONDONTWRITEBYTECODE :=

test:  ## every test, with few random cases; three at once, because some wait
	$(DEV) -m pytest -n 3 --dist worksteal -m "not long"

long check: export HYPOTHESIS_PROFILE ?= ci

long:  ## what `test` leaves out or shortens: long runs, journeys with axe, a hundred random cases of each property
	$(DEV) -m pytest -n 2 --dist worksteal -m "long or hypothesis or e2e"

lint:  ## everything of `check` but the tests
	$(DEV) -m ruff format --check .
	$(DEV) -m ruff check .
	@$(TEMPLATES) | xargs .venv/bin/djade --check --target-version 5.2
	@$(TEMPLATES) | xargs .venv/bin/djangofmt --check
	@$(TEMPLATES) | xargs .venv/bin/djangofmt check
	$(DEV) -m mypy
	$(DEV) -c "from importlinter.cli import lint_imports_command as lint; lint()"
	$(DEV) manage.py makemigrations --check
	$(DEV) manage.py messages --check
	$(DEV) -m tests.audit
	@set -a; . ./.env.example; SECRET_KEY=only-for-this-check-$$$$-0123456789-abcdefghijklmnopqrstuvwxyz; \
		$(PYTHON) apps/local/bootstrap.py dev manage.py check --deploy --fail-level WARNING

format:  ## Python and templates, as `lint` wants them
	$(DEV) -m ruff format .
	@$(TEMPLATES) | xargs .venv/bin/djade --target-version 5.2
	@$(TEMPLATES) | xargs .venv/bin/djangofmt

check: lint  ## all of CI: `lint`, then every test, long runs too, with the branches counted
	$(DEV) -m pytest -n 2 --dist worksteal --cov --cov-report=term

bench:  ## the benchmarks
	$(DEV) -m tests.benchmarks

lock:  ## the newest packages that requirements/*.in allow
	$(COMPILE) --upgrade requirements/base.in -o requirements/base.txt
	$(COMPILE) --upgrade requirements/s3.in -o requirements/s3.txt
	$(COMPILE) --upgrade requirements/dev.in -o requirements/dev.txt

messages:  ## collect what people read into locale/, and compile the translations
	$(DEV) manage.py messages
