# `make` lists the targets. The list is made from the comments after them.
#
# make run PORT=8001 WORKERS=4 PYTHON=python3.12 also work; other settings come from the environment.
# DJANGO=5.2 pins Django, in an environment of its own: make test PYTHON=python3.13 DJANGO=5.2

PYTHON ?= python3
VENV := .venv$(DJANGO:%=-django%)
BIN := $(VENV)/bin

BENCH := .venv-bench
MATRIX := .venv-matrix
LOCKING := .venv-lock
COMPILE := $(LOCKING)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
# Many tests wait: more processes than cores are of use. Those of a file stay together, but for
# the proof, whose tests share nothing.
BY_FILE := $(BIN)/pytest -rs -n 4 --dist loadfile
RECORDING := $(addprefix tests/tasks/,broker/test_ownership.py ledger/test_adoption.py \
	ledger/test_digests.py ledger/test_fixtures.py ledger/test_settling.py \
	ledger/test_summaries.py runs/test_check.py runs/test_claim.py runs/test_completion.py \
	runs/test_group_sql.py runs/test_lease.py runs/test_lost.py runs/test_policy.py \
	runs/test_recorder.py runs/test_retries.py runs/test_sql.py test_holds.py test_identity.py \
	test_lists.py test_migrations.py test_transfer.py worker/test_child.py \
	worker/test_coroutine_child.py)
ONE_BY_ONE := $(BIN)/pytest -n 4 --dist load --maxschedchunk 1

.PHONY: help run test test-matrix soak prove prove-harness rq-scheduler-suite lint messages lock \
	audit bench screenshots clean

help:  ## prints this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runtime  ## runs the whole system in this terminal: http://127.0.0.1:8000/
	@exec $(BIN)/python manage.py up --reload

# What talks to the database in its own words runs twice: on PostgreSQL here, on SQLite before.
# `make prove` runs the integration tests on SQLite, too.
test: $(VENV)/development  ## runs all tests
	$(BIN)/python -m tests.browser
	$(BY_FILE) --ignore tests/acceptance/proof --ignore tests/integration
	$(ONE_BY_ONE) tests/acceptance/proof
	TEST_DATABASE=postgres $(BY_FILE) tests/integration
	TEST_DATABASE=postgres $(BIN)/pytest -rs -n 4 --dist load $(RECORDING)

# NEWEST=1: only the newest pair besides the default one.
test-matrix: $(VENV)/created  ## runs the fast tests with each Python found here and each Django
	@$(BIN)/python -m tests.matrix $(if $(NEWEST),--newest)

soak: $(VENV)/development  ## injects random faults for half an hour, then checks the ledger
	PROOF_SOAK_SECONDS=1800 $(BIN)/pytest -s tests/acceptance/proof/test_soak.py

prove: soak  ## does soak, cuts processes off for half an hour, and all else that takes long
	PROOF_ODD_REQUESTS=1 $(BIN)/pytest -n 2 tests/project/test_odd_requests.py
	PROOF_PARTITION_SECONDS=1800 PROOF_LONGEST_PARTITION=120 \
		$(BIN)/pytest -s tests/acceptance/proof/test_cut_off.py
	$(BIN)/python -m tests.feeds.corpus
	PROOF_CONCURRENCY=20 $(BIN)/pytest -n 2 tests/acceptance/proof
	PROOF_ALL_LOOKS=1 $(BIN)/pytest -n 2 --dist loadfile \
		tests/acceptance/admin/test_all_pages.py tests/acceptance/admin/test_other_themes.py
	$(BY_FILE) tests/integration

prove-harness: $(VENV)/development  ## shows that stock rq-scheduler and RQ fail the same proof
	$(BIN)/python -m tests.acceptance.proof.harness

rq-scheduler-suite: $(VENV)/development  ## runs rq-scheduler's tests on our class: CHECKOUT=/path
	@$(BIN)/python -W ignore -m tests.upstream "$(CHECKOUT)"

lint: $(VENV)/development  ## runs ruff, mypy, import-linter and the check for migrations
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

messages: $(VENV)/development  ## brings the catalogues of translated texts up to date, and compiles them
	$(BIN)/python -m tests.translations

lock: $(LOCKING)/installed  ## writes the lock files anew: the newest versions that the requirements allow
	$(COMPILE) requirements-dev.txt --output-file requirements-dev.lock
	$(COMPILE) requirements.txt --constraints requirements-dev.lock --output-file requirements.lock

audit: $(LOCKING)/installed  ## looks for known vulnerabilities in what the lock files name
	$(LOCKING)/bin/pip-audit --disable-pip --require-hashes --requirement requirements-dev.lock

# make bench ONLY="dispatch runs" REPS=1, and QUICK=1 to try the benchmarks themselves.
bench: $(VENV)/development $(addprefix $(BENCH)/,peers/installed celery/installed arq/installed reader/installed)  ## measures the speed, compared with others: docs/benchmarks.md
	@$(BIN)/python -W ignore -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(REPS),--reps $(REPS)) $(if $(QUICK),--quick)

screenshots: $(VENV)/development  ## takes the pictures of the README and docs/ anew, of a site made for them
	@$(BIN)/python -W ignore -m tests.screenshots

clean:  ## removes environments, builds and caches, never var/
	rm -rf .venv .venv-django* $(BENCH) $(MATRIX) $(LOCKING) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Installs what a list names, and says so in one line that counts instead of pip's many.
define INSTALL
@echo "Installing what $(1) names into $(VENV). That takes a minute or two, only this once."
@set -o pipefail; $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off \
	$(if $(DJANGO),-r $(1) 'django==$(DJANGO).*',--require-hashes -r $(1:.txt=.lock)) | awk \
	-v total="$$(grep -c '^[a-z]' $(1:.txt=.lock))" -v terminal="$$(test -t 1 && echo 1)" ' \
	/^Collecting / { n++; if (terminal) printf "\r\033[K  %d of %d: %s", n, total, $$2; fflush() } \
	/^Installing / { if (terminal) printf "\r\033[K"; print "Downloaded. Unpacking…"; fflush() }'
@touch $@
endef
$(VENV)/runtime $(VENV)/development: SHELL := bash

# The stamps: what is newer than its list of requirements is not installed again.
# What is installed is what the lock files say, down to the hash; a pinned Django has no lock.
$(VENV)/runtime: requirements.txt requirements.lock | $(VENV)/created
	$(call INSTALL,requirements.txt)

$(VENV)/development: requirements-dev.txt requirements.txt requirements-dev.lock | $(VENV)/created
	$(call INSTALL,requirements-dev.txt)
	@touch $(VENV)/runtime

$(BENCH)/peers/installed: benchmarks/peers/requirements.txt
$(BENCH)/celery/installed: benchmarks/peers/requirements-celery.txt
$(BENCH)/arq/installed: benchmarks/peers/requirements-arq.txt
$(BENCH)/reader/installed: benchmarks/peers/requirements-reader.txt
$(BENCH)/%/installed:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@

$(LOCKING)/installed:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check --quiet install "uv>=0.9,<1" "pip-audit>=2.9,<3"
	@touch $@

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=python3.12 …'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
