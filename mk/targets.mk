# Targets that are not products: check, lint, coverage, demo, bench, soak, install.
.PHONY: help check check-unit check-e2e soak bench

RUN := tests/run --build $(B)

help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z0-9-]*:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: testable
testable: all samples units helpers

check: testable ## build everything and run all tests
	$(Q)$(RUN)

check-unit: units ## unit tests
	$(Q)$(RUN) --kind=unit

check-e2e: testable ## end-to-end tests
	$(Q)$(RUN) --kind=e2e

check-%: testable
	$(Q)$(RUN) $*

soak: testable ## long tests: *.soak.sh, *.soak.py
	$(Q)$(RUN) --tier=soak --timeout=1800

bench: testable ## measurements: *.bench.sh, *.bench.py
	$(Q)$(RUN) --tier=bench --timeout=1800 --verbose

.PHONY: lint format analyze
lint: ## formatting, include rules, banned calls and more, from tests/lint/rules
	$(Q)tests/lint/lint.py

format: ## format all C files
	$(Q)find common profile shim analyzer store samples tests -name '*.[ch]' -o -name '*.cc' | xargs clang-format -i

clean: ## remove every build folder
	rm -rf $(addprefix build-,$(MODES)) build
