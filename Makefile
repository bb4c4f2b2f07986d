# Builds, runs and tests dicom-server. `make help` lists what there is; CONTRIBUTING.md says more.

# Debian's own interpreter, on which the service runs, before another one in PATH (pyenv's are built without PGO).
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for python in /usr/bin/python3 python3; do $$python -c \
	'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>&- && break; done; echo $$python)
endif
ARGS ?=
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

BIN := .venv/bin
EXT := $(shell find ext -name '*.pyx')
SOURCES := $(shell find ext -name '*.p[yx][xd]') setup.py
# The environment is made anew when the interpreter, this folder's path or what is to be installed has changed.
key = $(shell { $(PYTHON) -VV; pwd; cat $(1); } 2>&1 | sha256sum | cut -c1-16)
INSTALLED := .venv/installed-$(call key,requirements/build.txt requirements/run.txt pyproject.toml)
DCMJS := tests/interop/dcmjs
TESTABLE := .venv/testable-$(call key,requirements/test.txt $(DCMJS)/package-lock.json)
# The tests wait half of the time, for disks, peers and deadlines: two at once on each processor.
WORKERS := $(shell echo $$((2 * $$(nproc))))
# One line per step; what a step printed is shown only if it fails.
LOG := build/log
quietly = >$(LOG) 2>&1 || { tail -n 40 $(LOG) >&2; exit 1; }
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -q
# One make at a time in this folder.
locked = @flock .build.lock $(MAKE) -s

.PHONY: help build start test debug asan fuzz bench crash conf lock fresh clean FORCE

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

build:  ## make .venv and compile the extensions into it
	$(locked) .venv/release

start: build  ## build, then run the server in the foreground: make start ARGS="--port 11112"
	@exec $(BIN)/dicom-server start $(ARGS)

test: build  ## build, install what the tests need, run all tests: make test ARGS="-x tests/wire"
	$(locked) $(TESTABLE)
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

debug: build  ## compile with bounds checks and line tracing into build/debug; run it with build/debug/python
	$(locked) build/debug/python
	@echo 'Ready: build/debug/python -m pytest tests/wire'

asan: build  ## run the tests of wire and archive under AddressSanitizer and UndefinedBehaviorSanitizer
	$(locked) $(TESTABLE) build/asan/python
	@build/asan/python -m pytest -p no:cacheprovider $(or $(ARGS),$(wildcard tests/wire tests/archive))

fuzz: build  ## fuzz the decoders for ten minutes: make fuzz ARGS="--seconds 60"
	$(locked) $(TESTABLE)
	@$(BIN)/python -m tests.fuzz.run $(or $(ARGS),--seconds 600)

bench: build  ## measure against Orthanc and DCMTK: make bench ARGS="--quick"
	@$(BIN)/python -m tests.bench $(ARGS)

crash: build  ## the long proof that nothing acknowledged is lost, and its table (about half an hour)
	$(locked) $(TESTABLE)
	@CRASH_STATES=$${CRASH_STATES:-2000} $(BIN)/pytest --numprocesses auto --dist loadfile --timeout 3600 tests/crash $(ARGS)

conf: build  ## write conf/ and the manual's table of options from the schema
	@$(BIN)/python -m dicomserver.config.document $(ARGS)

lock: build  ## write requirements/*.txt anew from requirements/*.in
	@$(PYTHON) -m venv build/pip-tools && build/pip-tools/bin/pip install -q pip-tools $(quietly)
	@for part in build run test; do \
		{ printf '%s\n\n' "# Made from $$part.in by \`make lock\`; holds for Python 3.11 and 3.13 on every platform."; \
		build/pip-tools/bin/pip-compile -q --upgrade --strip-extras --generate-hashes --allow-unsafe --no-header \
			--no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
			--output-file - requirements/$$part.in 2>$(LOG); } >build/$$part.txt && mv build/$$part.txt requirements/ || exit 1; \
	done

fresh:  ## build and try this commit in a bare Debian chroot (as root)
	@tests/house/fresh_debian.sh $(ARGS)

clean:  ## remove what building and testing made
	@rm -rf .venv build *.egg-info .pytest_cache .hypothesis
	@find dicomserver ext tests -name '*.so' -delete -o -name __pycache__ -prune -exec rm -rf {} +

# What follows runs under the lock only.

$(INSTALLED):
	@PYTHON=$(PYTHON) requirements/debian.sh build
	@echo 'Making .venv'
	@rm -rf .venv build && mkdir build
	@$(PYTHON) -m venv .venv $(quietly)
	@echo 'Installing requirements'
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/run.txt $(quietly)
	@DICOMSERVER_BUILD=none $(PIP) --no-deps --no-build-isolation -e . $(quietly)
	@touch $@

$(TESTABLE): $(INSTALLED)
	@PYTHON=$(PYTHON) requirements/debian.sh test
	@echo 'Installing what the tests need'
	@$(PIP) --require-hashes -r requirements/test.txt $(quietly)
	@mkdir -p .venv/dcmjs && cp $(DCMJS)/package*.json .venv/dcmjs
	@npm ci --prefix .venv/dcmjs --ignore-scripts --no-audit --no-fund $(quietly)
	@touch $@

# Another setup.py means other compiler flags, of which neither Cython nor distutils takes notice.
compile = rm -rf $(if $(filter setup.py,$?),build/$(1)); mkdir -p build; echo 'Compiling extensions ($(1))'; \
	DICOMSERVER_BUILD=$(1) $(BIN)/python setup.py -q $(2) --parallel $(shell nproc) $(quietly)

.venv/release: $(INSTALLED) $(SOURCES) $(foreach pyx,$(EXT),$(if $(wildcard $(pyx:ext/%.pyx=%).*.so),,FORCE))
	@$(call compile,release,build_ext --inplace)
	@touch $@

# An interpreter that finds the checked extensions first; pytest and the server alike run with it.
build/%/python: .venv/release $(SOURCES) FORCE
	@$(call compile,$*,build)
	@printf '%s\n' '#!/bin/sh' 'export PYTHONSAFEPATH=1 PYTHONPATH="$(CURDIR)/build/$*/lib:$(CURDIR)"' \
		'export PYTEST_ADDOPTS="-o pythonpath= --capture=sys"' \
		$(environment-$*) 'exec "$(CURDIR)/$(BIN)/python" "$$@"' >$@
	@chmod +x $@

# CPython never frees everything at its exit, so leaks are for the tests of memory, not for ASan.
preload = $(foreach library,libasan.so libubsan.so,$(shell $(or $(CC),cc) -print-file-name=$(library)))
environment-asan = 'export PYTHONMALLOC=malloc LD_PRELOAD="$(preload)"' \
	'export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1'
environment-debug =
