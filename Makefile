# make lab     set up once and open JupyterLab on notebooks/
# make test    set up once and run every test
# make course  set up once, run all notebooks (profile local), write build/ and print the table
# make site    set up once and build the static site in build/site/html (needs Node.js)
# make test-all  every test: the slow ones, and those of the site in a real browser too
#
# Only .venv/ is touched; a second run sets nothing up again until the pins change.

VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PY := $(BIN)/python
READY := $(VENV)/ready
SITE_READY := $(VENV)/site-ready

# The first Python that is new enough; choose another with `make lab PYTHON=/path/to/python`.
PYTHON ?= $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
# `make test TORCH=torch CONSTRAINTS=` tests against the newest releases instead of the pins.
TORCH ?= $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' constraints.txt)
CONSTRAINTS ?= -c constraints.txt

# Every core takes tests, four at most: each brings its own torch, which then needs one thread.
SHARED := OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 4

.PHONY: lab test test-all course site notebooks format
export PYTHONUTF8 = 1

lab: $(READY)
	$(PY) -m jupyterlab notebooks

test: export COURSE_PROFILE = ci
test: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(SHARED) tests
	$(PY) -m pytest --nbval-lax notebooks

# The site's packages first: the export is tested in `make test` only where they are installed.
test-all: $(SITE_READY)
	$(MAKE) test
	$(SHARED) --dist loadfile tests/slow
	$(PY) -m pytest tests/site

site: $(SITE_READY)
	$(PY) site/build.py

course: $(READY)
	$(PY) -m helpers run --profile local

# For authors: execute the notebooks where they stand, and bring all code into form.
notebooks: $(READY)
	$(PY) -m helpers run --profile local --in-place

format: $(READY)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# torch goes first and alone, at exactly the pinned version: pip would otherwise weigh, and
# download, several of its very large wheels.
$(READY): constraints.txt pyproject.toml
	@$(if $(PYTHON),,echo "Python 3.11 이상을 찾지 못했습니다. 설치한 뒤 다시 실행하거나 make $(MAKECMDGOALS) PYTHON=<경로>로 알려 주십시오."; exit 1;) \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON)은(는) Python 3.11 이상이 아닙니다. 새 Python을 설치하거나 PYTHON=<경로>로 알려 주십시오."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	echo "가상 환경을 만들 수 없습니다. Debian과 Ubuntu에서는 sudo apt install python3-venv를 실행한 뒤 다시 시도하십시오."; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(PY) -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e ".[dev]"
	@touch $(READY)

$(SITE_READY): $(READY)
	$(PY) -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) -e ".[dev,site]"
	@touch $(SITE_READY)
