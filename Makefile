# perfshim. `make help` lists the targets; ./setup installs what they need.
.DEFAULT_GOAL := all
include mk/modes.mk

# Every CPU, unless the command line says otherwise.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc) --no-print-directory
endif

V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = @printf '  %-7s %s\n' '$(1)' '$(2)'

objects = $(patsubst %,$(B)/obj/%.o,$(basename $(1)))

COMMON_SRC := $(wildcard common/*.c)
PROFILE_SRC := $(wildcard profile/*.c)
SHIM_SRC := $(wildcard shim/*.c shim/*.S)
ANALYZER_SRC := $(wildcard analyzer/*.c)
STORE_SRC := $(wildcard store/*.c)
BENCH_SRC := $(wildcard store/bench/*.c)
SAMPLE_C := $(wildcard samples/*.c)
SAMPLE_CXX := $(wildcard samples/*.cc)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
HELPER_SRC := $(wildcard tests/helpers/*.c)

# main() of each program stays out of the libraries that unit tests link.
ANALYZER_MAIN := analyzer/main.c
BENCH_MAIN := store/bench/main.c

PRODUCTS := $(B)/libperfshim.so $(B)/perfshim $(B)/store_bench
SAMPLES := $(patsubst samples/%.c,$(B)/samples/%,$(SAMPLE_C)) \
	$(patsubst samples/%.cc,$(B)/samples/%,$(SAMPLE_CXX))
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
HELPERS := $(patsubst tests/helpers/%.c,$(B)/helpers/%,$(filter-out %/unwind_shapes.c,$(HELPER_SRC)))

ANALYZER_LIBS := -ldw -lelf -ljansson -lgsl -lgslcblas -lprotobuf-c -lz -lncurses -lm
BENCH_LIBS := -ljansson -lm -pthread

# A stamp changes when its text does, so that whatever depends on it is made again: with other
# flags, or (an archive would keep the object) after a source file went away.
stamp = $(shell mkdir -p $(B) && printf '%s' '$(subst ','\'',$(2))' | cmp -s - $(B)/$(1) || \
	printf '%s' '$(subst ','\'',$(2))' >$(B)/$(1))
ifeq ($(filter help clean lint format,$(MAKECMDGOALS)),)
$(call stamp,flags,$(CC) $(CXX) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CXXFLAGS_ALL) $(LDFLAGS_ALL) $(SHIM_FLAGS) $(SHIM_LDFLAGS))
$(call stamp,sources,$(SHIM_SRC) $(PROFILE_SRC) $(ANALYZER_SRC) $(COMMON_SRC) $(STORE_SRC) $(BENCH_SRC))
endif

.PHONY: all samples units helpers
all: $(PRODUCTS) ## build libperfshim.so, perfshim and store_bench (MODE=release|debug|asan|tsan|coverage)
samples: $(SAMPLES) ## build the sample programs with a known truth
units: $(UNITS)
helpers: $(HELPERS)

$(B)/obj/shim/%.o: CFLAGS_ALL += $(SHIM_FLAGS)
$(B)/obj/profile/%.o: CFLAGS_ALL += $(SHIM_FLAGS)
# Clean-up handlers without the unwinder library, see there.
$(B)/obj/shim/hook_cond.o: CFLAGS_ALL += -fno-exceptions

$(B)/obj/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/obj/%.o: %.S $(B)/flags
	$(call say,AS,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(B)/libperfshim.so: $(call objects,$(SHIM_SRC) $(PROFILE_SRC)) $(B)/sources shim/exports.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(SHIM_LDFLAGS) -o $@ $(filter %.o,$^)

# pprof's format: C code made from its description, included as <profile.pb-c.h>.
PROTO := $(B)/gen/profile.pb-c
$(PROTO).c: analyzer/profile.proto
	$(call say,PROTO,$<)
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=$(<D) --c_out=$(@D) $(<F)
$(PROTO).h: $(PROTO).c ;
$(PROTO).o: $(PROTO).c $(B)/flags
	$(call say,CC,$<)
	$(Q)$(CC) -I$(B)/gen $(CFLAGS_ALL) -c $< -o $@
$(B)/obj/analyzer/export_pprof.o $(B)/unit/test_analyzer_export: CPPFLAGS_ALL += -I$(B)/gen
$(B)/obj/analyzer/export_pprof.o $(B)/unit/test_analyzer_export: | $(PROTO).h

$(B)/libanalyzer.a: $(call objects,$(filter-out $(ANALYZER_MAIN),$(ANALYZER_SRC))) $(PROTO).o
$(B)/libcommon.a: $(call objects,$(COMMON_SRC))
$(B)/libprofile.a: $(call objects,$(PROFILE_SRC))
# Without the hooks that a test's own read and write would otherwise come to.
$(B)/libshim.a: $(call objects,$(filter-out shim/hook_io.c shim/hook_idle.c,$(SHIM_SRC)))
$(B)/libstore.a: $(call objects,$(STORE_SRC))
$(B)/libbench.a: $(call objects,$(filter-out $(BENCH_MAIN),$(BENCH_SRC)))
$(B)/lib%.a: $(B)/sources
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(B)/perfshim: $(call objects,$(ANALYZER_MAIN)) $(B)/libanalyzer.a $(B)/libprofile.a $(B)/libcommon.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(ANALYZER_LIBS)

$(B)/store_bench: $(call objects,$(BENCH_MAIN)) $(B)/libbench.a $(B)/libstore.a $(B)/libcommon.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(BENCH_LIBS)

# Samples and helpers are made alike in every mode: a coverage build, which stands beside a release build
# in `make check`, takes those from there while they are up to date.
shared = $(if $(filter coverage,$(MODE)),$(if $(filter %.o,$^),,mk/shared.sh $@ || ))

# A sample may set its own flags on a line `// build: FLAGS` or `/* build: FLAGS */`.
sample_flags = $(shell sed -n 's,^\(//\|/\*\) build: \([^*]*\).*,\2,p' $(1))
$(B)/samples/%: samples/%.c $(B)/flags shim/perfshim.h
	$(call say,SAMPLE,$@)
	@mkdir -p $(@D)
	$(Q)$(shared)$(CC) $(CPPFLAGS_ALL) $(CSTD) -g -O2 $(WARN) $(call sample_flags,$<) -MMD -MP -MF $@.d -MT $@ -o $@ $< -pthread -lm

$(B)/samples/%: samples/%.cc $(B)/flags shim/perfshim.h
	$(call say,SAMPLE,$@)
	@mkdir -p $(@D)
	$(Q)$(shared)$(CXX) $(CPPFLAGS_ALL) -std=c++17 -g -O2 $(WARNXX) $(call sample_flags,$<) -MMD -MP -MF $@.d -MT $@ -o $@ $< -pthread

$(B)/unit/%: tests/unit/%.c $(B)/flags $(B)/libanalyzer.a $(B)/libbench.a $(B)/libstore.a $(B)/libshim.a $(B)/libprofile.a $(B)/libcommon.a
	$(call say,UNIT,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests $(CFLAGS_ALL) $(LDFLAGS_ALL) -MMD -MP -MF $@.d -MT $@ -o $@ $(filter %.c %.a,$^) -lcmocka $(ANALYZER_LIBS) -pthread

# Programs that end-to-end tests run, which are not samples of anything.
$(B)/helpers/%: tests/helpers/%.c $(B)/flags shim/perfshim.h
	$(call say,HELPER,$@)
	@mkdir -p $(@D)
	$(Q)$(shared)$(CC) $(CPPFLAGS_ALL) $(CSTD) -g -O2 $(WARN) $(call sample_flags,$<) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(filter %.o,$^) $(LD_$(MODE)) -pthread -lm

# The same program for each level of optimisation, with frame pointers and without.
SHAPES := $(foreach o,O0 O2 O3,$(foreach f,fp nofp,$(B)/helpers/unwind_shapes-$(o)-$(f)))
helpers: $(SHAPES)
$(SHAPES): $(B)/helpers/unwind_shapes-%: tests/helpers/unwind_shapes.c $(B)/flags
	$(call say,HELPER,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CSTD) -g $(WARN) -$(firstword $(subst -, ,$*)) \
		$(if $(filter %-nofp,$*),-fomit-frame-pointer,-fno-omit-frame-pointer) -o $@ $<

# Helpers that call the shim's unwinder itself, without its hooks.
UNWIND_OBJ := $(addprefix $(B)/obj/shim/,cfi.o cfi_expr.o unwind.o unwind_bare.o unwind_kept.o unwind_memo.o unwind_module.o unwind_rule.o unwind_stack.o)
$(B)/helpers/unwind_diff $(B)/helpers/unwind_cost: $(UNWIND_OBJ)

# One that measures a part of store_bench by itself.
$(B)/helpers/histogram_cost: $(B)/obj/store/bench/histogram.o

-include $(shell find $(B) -name '*.d' 2>/dev/null)

include mk/targets.mk
