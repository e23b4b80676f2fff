# Targets that are not products: check, lint, coverage, demo, bench, soak, install.
.PHONY: help check check-unit check-e2e soak bench demo lint format coverage install uninstall clean dist

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove every build folder
	rm -rf build build-debug build-asan build-tsan build-coverage
