# Targets that are not products: check, lint, coverage, demo, bench, soak, install.
.PHONY: help check check-unit check-e2e soak bench

RUN := tests/run --build $(B)

help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

clean: ## remove every build folder
	rm -rf $(addprefix build-,$(MODES)) build
