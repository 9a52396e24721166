# Each target makes .venv from the lock when it is missing; Python 3.11 or newer and make are needed.
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: demo test lint docs clean

demo: .venv/installed
	$(RUN) snakemake --cores $(CORES)
	@echo "$(CURDIR)/results/demo/report/report.html"

# Test files side by side, each process with one thread.
test: .venv/installed
	$(RUN) OMP_NUM_THREADS=1 pytest --numprocesses $(CORES:all=logical) --maxprocesses 8 --dist loadfile --cov=cloome --cov-report=term --cov-fail-under=85

lint: .venv/installed
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) snakefmt --check .
	$(RUN) snakemake --lint

docs: .venv/installed
	$(RUN) cloome config --write

# Own screens, downloads and results of other experiments stay: resources/ may hold terabytes.
clean:
	rm -rf .venv .snakemake logs benchmarks/results results/demo results/plates/simulated-* resources/simulated-*

# The stamp is written last: an installation that was cut off is done again.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[workflow,dev]'
	@# Fails where the system lacks a library, and says which.
	$(BIN)/cloome report --help > /dev/null
	touch $@
