# Targets that are not products: tests, lint, coverage, demo, install.
RUN := tests/run --build $(B)

help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z0-9-]*:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make check-PART      tests of one part: $(sort $(notdir $(patsubst %/,%,$(filter-out \
		tests/unit/ tests/helpers/ tests/lint/,$(wildcard tests/*/)))))"
	@echo "  V=1 shows the commands, MODE=... builds into build-MODE, CI=1 turns warnings into errors"

.PHONY: help testable check check-unit check-e2e check-asan check-tsan soak bench
testable: all samples units helpers

check: testable ## build everything and run all tests
	$(Q)$(RUN)

check-unit: units ## unit tests
	$(Q)$(RUN) --kind=unit

check-e2e: testable ## end-to-end tests
	$(Q)$(RUN) --kind=e2e

check-asan: ## unit tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) MODE=asan check-unit

check-tsan: ## unit tests under ThreadSanitizer
	$(Q)$(MAKE) MODE=tsan check-unit

check-%: testable
	$(Q)$(RUN) $*

soak: testable ## long tests: *.soak.sh, *.soak.py
	$(Q)$(RUN) --tier=soak --timeout=1800

bench: testable ## measurements: *.bench.sh, *.bench.py
	$(Q)$(RUN) --tier=bench --timeout=1800 --verbose

.PHONY: bench-baseline bench-regress
bench-baseline: all helpers ## keep this build as the mark that bench-regress judges by
	$(Q)tests/regress.py save --build $(B) $(ARGS)

bench-regress: all helpers ## is this build slower than the one kept? (ARGS=--instructions: counts alone)
	$(Q)tests/regress.py compare --build $(B) $(ARGS)

.PHONY: coverage demo lint format analyze
coverage: ## lines covered by tests, a part a line; fails under 90 %
	$(Q)$(MAKE) MODE=coverage testable
	$(Q)tests/coverage.py --build build-coverage

demo: all ## pool off, pool on: the report of the first and what the pool changed
	$(Q)mk/demo.sh $(B)

lint: ## formatting, include rules, banned calls and more, from tests/lint/rules
	$(Q)tests/lint/lint.py

C_FILES = $(shell find common profile shim analyzer store samples tests -name '*.[ch]' -o -name '*.cc')
format: ## format all C files
	$(Q)clang-format -i $(C_FILES)

# Beside its list of real faults cppcheck dislikes alloca (a hook may not call malloc) and what gcc
# defines though C does not: shifts and conversions of negative values.
analyze: ## cppcheck on what is shipped, if it is installed
	$(Q)command -v cppcheck >/dev/null || { echo "make analyze: needs cppcheck"; exit 1; }
	$(Q)cppcheck --quiet --enable=warning,performance,portability --inline-suppr --std=c11 -I. \
		-D_GNU_SOURCE -D__x86_64__ --error-exitcode=1 --suppress=allocaCalled \
		--suppress=signConversion --suppress=shiftTooManyBitsSigned \
		--suppress=uninitStructMember:shim/unwind_rule.c \
		$(COMMON_SRC) $(PROFILE_SRC) $(SHIM_SRC) $(ANALYZER_SRC) $(STORE_SRC) $(BENCH_SRC)

# Nothing outside DESTDIR$(PREFIX) is touched; perfshim finds the library in ../lib/perfshim.
PREFIX ?= /usr/local
D = $(DESTDIR)$(PREFIX)
DOCS = README.md CHANGELOG.md LICENSE $(wildcard docs/*.md)
MAN = $(wildcard docs/man/*.1)
INSTALLED = bin/perfshim bin/store_bench lib/perfshim/libperfshim.so include/perfshim.h \
	$(addprefix share/doc/perfshim/,$(notdir $(DOCS))) $(addprefix share/man/man1/,$(notdir $(MAN)))

.PHONY: install uninstall dist clean
install: all ## install under PREFIX (/usr/local), below DESTDIR
	$(Q)install -d $(addprefix '$(D)'/,bin lib/perfshim include share/doc/perfshim share/man/man1)
	$(Q)install -m 755 $(B)/perfshim $(B)/store_bench '$(D)/bin'
	$(Q)install -m 644 $(B)/libperfshim.so '$(D)/lib/perfshim'
	$(Q)install -m 644 shim/perfshim.h '$(D)/include'
	$(Q)install -m 644 $(DOCS) '$(D)/share/doc/perfshim'
	$(Q)install -m 644 $(MAN) '$(D)/share/man/man1'
	@echo "installed perfshim $(VERSION) into $(D)"

uninstall: ## remove what install put there
	$(Q)rm -f $(patsubst %,'$(D)/%',$(INSTALLED))
	$(Q)rmdir '$(D)/lib/perfshim' '$(D)/share/doc/perfshim' 2>/dev/null || true

dist: ## source archive of the last commit, in build/
	@mkdir -p $(B)
	$(Q)git archive --format=tar --prefix=perfshim-$(VERSION)/ HEAD | gzip -9n >$(B)/perfshim-$(VERSION).tar.gz
	@echo $(B)/perfshim-$(VERSION).tar.gz

clean: ## remove every build folder
	rm -rf build $(addprefix build-,$(filter-out release,$(MODES)))
