# Everything a contributor needs; `make help` explains. All of it works in .venv, which the targets make and renew.
#
#   PYTHON=python3.12 make test     another interpreter
#   ARGS='-k cli -x' make test      arguments for pytest
#   EXTRAS='test browser' make ...  also what the report's tests in Chromium need

PYTHON ?= python3
ARGS ?=
EXTRAS ?= test

VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
# The build tools of the environment, whether or not it is activated.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# Where there is no home, pip would warn at each call that it cannot keep a cache.
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export PIP_NO_CACHE_DIR := 1
endif

SOURCES := $(shell find csrc src meson.build pyproject.toml -type f ! -name '*.pyc' 2>/dev/null)
C_FILES := $(shell find csrc tests -name '*.[ch]' 2>/dev/null)

# The page of the HTML report: in releases, and in a checkout after `make web`.
REPORT := src/spprof/export/_report/report.js
WEB_SOURCES := $(wildcard web/src/* web/*.json web/*.mjs)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: docs
.PHONY: help demo test test-all test-c asan lint format web wheel clean venv

help:  ## List what can be made.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name text; do \
	    printf '  %-10s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.installed  ## Build spprof, profile an example: hot functions on the terminal, a flame graph to open.
	@mkdir -p demo
	@$(VENV)/bin/python -m spprof run -o demo/profile.svg -o demo/profile.speedscope.json examples/search_index.py
	@printf '\nThe flame graph, for any browser:\n  '
	@$(VENV)/bin/python -c 'import pathlib; print(pathlib.Path("demo/profile.svg").resolve().as_uri())'

test: $(VENV)/.installed $(VENV)/.test  ## Run the tests that take seconds.
	$(VENV)/bin/python -m pytest -m 'not slow' $(ARGS)

test-all: $(VENV)/.installed $(VENV)/.test  ## Run all tests, the long ones too.
	$(VENV)/bin/python -m pytest $(ARGS)

test-c:  ## Run the tests of the C core, as it is and in its hostile build, without Python.
	tools/ctest.sh plain

asan:  ## Run the C tests and the Python tests on builds with AddressSanitizer and UBSan.
	tools/ctest.sh asan
	tools/sanitize_ext.sh "$(PYTHON)"

lint: $(VENV)/.lint $(VENV)/.installed  ## Check style, types, C formatting and spelling.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/clang-format --dry-run --Werror $(C_FILES)
	$(VENV)/bin/codespell

format: $(VENV)/.lint  ## Rewrite Python and C files in the project's style.
	$(VENV)/bin/ruff check --fix --exit-zero .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $(C_FILES)

web: $(REPORT)  ## Build the page of the HTML report (needs Node.js and npm); without it saving .html is an error that says so.

docs: $(VENV)/.installed $(VENV)/.docs  ## Build the docs site into build/site (Python 3.10 or newer).
	$(VENV)/bin/python -m mkdocs build --strict

wheel: $(VENV)/.build $(REPORT)  ## Build a wheel and a source distribution into dist/.
	$(PIP) install build
	$(VENV)/bin/python -m build --no-isolation --outdir dist .

clean:  ## Remove the environment and everything that was built.
	rm -rf $(VENV) build dist demo web/node_modules $(dir $(REPORT)) .mypy_cache .ruff_cache .pytest_cache .hypothesis

venv: $(VENV)/.installed $(VENV)/.test $(VENV)/.lint  ## Make .venv with spprof and all tools, to be activated.

$(REPORT): $(WEB_SOURCES) tools/build_web.py
	@tools/build_web.py

# ---- the environment, step by step; a stamp for each

$(VENV)/.python:
	@tools/preflight "$(PYTHON)"
	@tools/venv $(VENV) "$(PYTHON)"
	@touch $@

$(VENV)/.build: $(VENV)/.python
	@echo 'fetching the build tools'
	@$(PIP) install --upgrade pip 'meson-python>=0.18' ninja
	@touch $@

$(VENV)/.installed: $(VENV)/.build $(SOURCES)
	@echo 'building spprof'
	@$(PIP) install --no-build-isolation --no-deps --force-reinstall --config-settings=build-dir=$(VENV)/build .
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml
	@echo 'fetching what the tests need'
	@$(PIP) install --only-binary :all: $$(for extra in $(EXTRAS); do tools/extra $$extra; done)
	@touch $@

$(VENV)/.lint: $(VENV)/.python pyproject.toml
	@echo 'fetching what the checks need'
	@$(PIP) install --only-binary :all: $$(tools/extra lint)
	@touch $@

$(VENV)/.docs: $(VENV)/.python pyproject.toml
	@echo 'fetching what the docs need'
	@$(PIP) install --only-binary :all: $$(tools/extra docs)
	@touch $@

# ---- slow checks

.PHONY: valgrind tsan aarch64 fuzz
SECONDS ?= 300
fuzz:  ## Fuzz what reads bytes that others have written, with clang's libFuzzer, SECONDS (300) for each.
	tests/fuzz/run.sh cfi $(SECONDS)
	tests/fuzz/run.sh linetable $(SECONDS)

aarch64:  ## Run the C tests compiled for aarch64, under qemu (Debian: gcc-aarch64-linux-gnu, qemu-user); skipped without them.
	tools/ctest.sh aarch64

tsan:  ## Run the C tests, and many threads under the profiler, on builds with ThreadSanitizer (PYTHON: best a free-threaded one).
	tools/ctest.sh tsan
	tools/tsan_ext.sh "$(PYTHON)"

valgrind:  ## Run the C tests, and the example under the profiler, under valgrind's memcheck.
	tools/ctest.sh valgrind
	tools/valgrind_ext.sh "$(PYTHON)"
