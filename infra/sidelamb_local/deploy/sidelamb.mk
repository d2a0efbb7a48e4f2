# How `sam build` makes a function's bundle: what requirements.txt names, for Lambda's processor; the app's folder; and
# all of it compiled, which halves a cold start. `sidelamb init --upgrade` renews this file.
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

build-%:
	@$(PYTHON) -c 'import importlib.util as lib, sys; sys.exit(sys.version_info[:2] != (3, 13) and \
		"this is Python %d.%d and the functions are on 3.13: PYTHON=… sam build" % sys.version_info[:2] or \
		lib.find_spec("pip") is None and "this Python has no pip, name another one: PYTHON=… sam build")'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-compile --target "$(ARTIFACTS_DIR)" \
		$(WHEELS) --implementation cp --python-version 3.13 --only-binary :all: --requirement requirements.txt
	@tar -cf - $(patsubst %,--exclude="./%",$(NEVER) $(LEFT_OUT)) --exclude="__pycache__" . | tar -xf - -C "$(ARTIFACTS_DIR)"
	@-$(PYTHON) -m compileall -q --invalidation-mode unchecked-hash \
		-s "$(ARTIFACTS_DIR)" -p /var/task "$(ARTIFACTS_DIR)"
