# make run    the whole system in this terminal: http://127.0.0.1:8000/
# make test   all tests; make lint   all checks
# make bench  measures how fast it is, beside others, and prints a table (docs/benchmarks.md)
# make soak   half an hour of random faults; make prove-harness   do the stock classes fail our proof?
# make rq-scheduler-suite CHECKOUT=/path/to/rq-scheduler   runs its own tests on our class
# make clean  removes .venv, .venv-bench and caches, never var/
#
# make run PORT=8001 WORKERS=4 PYTHON=python3.12 also work; other settings come from the environment.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

BENCH := .venv-bench
# Many tests wait: more processes than cores are of use. Those of a file stay together, but for
# the proof, whose tests share nothing.
BY_FILE := $(BIN)/pytest -rs -n 4 --dist loadfile
RECORDING := $(addprefix tests/tasks/,runs/test_claim.py runs/test_recorder.py runs/test_retries.py runs/test_sql.py worker/test_child.py)
ONE_BY_ONE := $(BIN)/pytest -n 4 --dist load --maxschedchunk 1

.PHONY: run test soak prove-harness rq-scheduler-suite lint bench clean

run: $(VENV)/runtime
	@exec $(BIN)/python manage.py up

# What talks to the database in its own words runs twice: on PostgreSQL here, on SQLite before.
test: $(VENV)/development
	$(BIN)/python -m tests.browser
	$(BY_FILE) --ignore tests/acceptance/proof
	$(ONE_BY_ONE) tests/acceptance/proof
	TEST_DATABASE=postgres $(BY_FILE) tests/integration $(RECORDING)

soak: $(VENV)/development
	PROOF_SOAK_SECONDS=1800 $(BIN)/pytest -s tests/acceptance/proof/test_soak.py

prove-harness: $(VENV)/development
	$(BIN)/python -m tests.acceptance.proof.harness

rq-scheduler-suite: $(VENV)/development
	@$(BIN)/python -W ignore -m tests.upstream "$(CHECKOUT)"

lint: $(VENV)/development
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

# make bench ONLY="dispatch runs" REPS=1, and QUICK=1 to try the benchmarks themselves.
bench: $(VENV)/development $(BENCH)/peers/installed $(BENCH)/celery/installed
	@$(BIN)/python -W ignore -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(REPS),--reps $(REPS)) $(if $(QUICK),--quick)

clean:
	rm -rf $(VENV) $(BENCH) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# The stamps: what is newer than its list of requirements is not installed again.
$(VENV)/runtime: requirements.txt | $(VENV)/created
	$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/development: requirements-dev.txt requirements.txt | $(VENV)/created
	$(PIP) install -r requirements-dev.txt
	@touch $(VENV)/runtime $@

$(BENCH)/peers/installed: benchmarks/peers/requirements.txt
$(BENCH)/celery/installed: benchmarks/peers/requirements-celery.txt
$(BENCH)/%/installed:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=python3.12 …'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
