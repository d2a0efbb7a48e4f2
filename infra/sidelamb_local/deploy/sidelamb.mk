# How `sam build` makes a function's bundle: what requirements.txt names, for Lambda's processor; the app's folder; and
# all of it compiled, which halves a cold start. And the poller's: what poller/requirements.txt names, compiled.
# `sidelamb init --upgrade` renews this file.
#
#   sam build                                     functions on arm64
#   PROCESSOR=x86_64 sam build                    functions with Architectures: [x86_64]; for one of them
#                                                 build-VideoFunction: PROCESSOR = x86_64, in the Makefile
#   PYTHON=/opt/python3.13/bin/python3 sam build  if python3.13 is not on the PATH
#   LEFT_OUT="tests docs" sam build               folders and files that the functions do not need
PYTHON    ?= python3.13
PROCESSOR ?= aarch64
WHEELS     = $(foreach of,manylinux2014 manylinux_2_28 manylinux_2_34,--platform $(of)_$(PROCESSOR))
NEVER      = .[!.]* __pycache__ node_modules venv poller Makefile sidelamb.mk samconfig.toml template.yaml
INSTALL    = $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile \
	$(WHEELS) --implementation cp --python-version 3.13 --only-binary :all:
COMPILE    = $(PYTHON) -m compileall -q --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)"

build-%: right-python
	@$(INSTALL) --target "$(ARTIFACTS_DIR)" --requirement requirements.txt
	@tar -cf - $(patsubst %,--exclude="./%",$(NEVER) $(LEFT_OUT)) --exclude="__pycache__" . | tar -xf - -C "$(ARTIFACTS_DIR)"
	@-$(COMPILE) -p /var/task "$(ARTIFACTS_DIR)"

# Its task is on arm64, whatever the functions are.
POLLER_PROCESSOR ?= aarch64
build-PollerBundle: PROCESSOR = $(POLLER_PROCESSOR)
build-PollerBundle: right-python
	@$(INSTALL) --target "$(ARTIFACTS_DIR)/python" --requirement poller/requirements.txt
	@-$(COMPILE) -p /opt/sidelamb "$(ARTIFACTS_DIR)"

.PHONY: right-python
right-python:
	@$(PYTHON) -c 'import importlib.util as lib, sys; sys.exit(sys.version_info[:2] != (3, 13) and \
		"this is Python %d.%d and the functions are on 3.13: PYTHON=… sam build" % sys.version_info[:2] or \
		lib.find_spec("pip") is None and "this Python has no pip, name another one: PYTHON=… sam build")'
