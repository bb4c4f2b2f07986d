PYTHON ?= python3
.PHONY: build test
build: .venv/bin/python
	.venv/bin/pip install -q --no-build-isolation -e .
.venv/bin/python:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -U pip setuptools wheel Cython pytest hypothesis pynetdicom pydicom apsw pydantic pyyaml tqdm pytest-timeout xxhash
test: build
	.venv/bin/pytest
