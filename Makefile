# make demo    install into .venv and watch real jobs run, from app to Redis to Lambda and back; STAY=1: then on the page
# make faults  ten fires of 10,000 jobs each: every part killed, stopped and cut off, and what came of it (20 minutes)
# make test    install into .venv and check everything: style, types, arrows, tests against the built wheel
# make bench   speed and economy, beside nine other systems, each in an environment of its own (25 minutes)
# make model   what a backlog and a steady load come to on AWS, simulated (2 minutes)
# make smoke-aws REGION=eu-west-1    deploy into your AWS account, try it, take it down; nobody has run it there yet

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
BENCHED := build/bench/sidelamb
PHOTOS ?=
STAY   ?=

# Some machines keep Python from writing what it compiles: the suite's thousand processes would compile all that they
# import anew, and pytest all tests, which is a fifth of the whole.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test faults bench model lint smoke-aws vendor-assets clean

demo: $(VENV)/.demo
	$(BIN)/python examples/photos/demo.py $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(STAY),--stay)

test: $(VENV)/.test
	$(BIN)/python -m tests.run

faults: $(VENV)/.test
	$(BIN)/python -m tests.faults $(if $(JSON),--json "$(JSON)")

# BENCH="--only W2,W4 --peers sidelamb,sidekiq --quick": see `python -m bench --help`; the page is made of what is
# kept: make bench JSON=bench/results/latest.json && .venv/bin/python -m bench.page bench/results/latest.json
bench: $(BENCHED)/.installed
	$(BENCHED)/bin/python -m bench $(if $(JSON),--json "$(JSON)") $(BENCH)

# MODEL="--memory-mb 1769": see `python -m bench.model --help`
model: $(VENV)/.test
	$(BIN)/python -m bench.model $(MODEL)

# SMOKE="--parameter RedisUrl=rediss://… --keep": see `python -m infra.smoke_aws --help`
smoke-aws: $(VENV)/.test
	$(BIN)/python -m infra.smoke_aws $(if $(REGION),--region "$(REGION)") $(SMOKE)

# the web page's foreign asset, from npm
vendor-assets:
	infra/vendor_assets

lint: $(VENV)/.test
	$(BIN)/python -m tests.run --lint

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Sidelamb needs Python 3.11 or newer; this is %d.%d. Try: make demo PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# the marker files say what is installed; a change of pyproject.toml installs again
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local,demo]'
	touch $@

# as users have it: redis-py loads OpenTelemetry where it is installed, and the tests install it
$(BENCHED)/.installed: pyproject.toml
	$(PYTHON) -m venv $(BENCHED)
	$(BENCHED)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[local]'
	touch $@

# a hundred packages: uv has them in a tenth of pip's time; where it cannot reach the index as pip does, pip has them
$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[dev]' \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) dist build .sidelamb
