# Build modes: each has its own folder, so that switching never rebuilds the others.
MODE ?= release
MODES := release debug asan tsan coverage
ifeq ($(filter $(MODE),$(MODES)),)
$(error unknown MODE '$(MODE)': one of $(MODES))
endif
B := $(if $(filter release,$(MODE)),build,build-$(MODE))

ifeq ($(origin CC),default)
CC := gcc
endif
CSTD := -std=gnu11
WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes
WARNXX := -Wall -Wextra
ifneq ($(or $(CI),$(WERROR)),)
WARN += -Werror
WARNXX += -Werror
endif

OPT_release := -O2
OPT_debug := -O0
OPT_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_tsan := -O1 -fsanitize=thread -Wno-tsan -Wno-maybe-uninitialized
OPT_coverage := -O1 -Wno-maybe-uninitialized -fno-inline-functions -fno-inline-small-functions --coverage -fprofile-update=atomic -DPERFSHIM_COVERAGE
LD_asan := -fsanitize=address,undefined
LD_tsan := -fsanitize=thread
LD_coverage := --coverage

VERSION := 0.1.0
CPPFLAGS_ALL := -I. -D_GNU_SOURCE -DPERFSHIM_VERSION='"$(VERSION)"'
CFLAGS_ALL := $(CSTD) -g $(OPT_$(MODE)) $(WARN) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 -g $(OPT_$(MODE)) $(WARNXX) $(CXXFLAGS)
LDFLAGS_ALL := $(LD_$(MODE)) $(LDFLAGS)

# The shim runs in a stranger's process: small static TLS, no lazy binding, nothing exported by
# accident, unwind tables everywhere (threads are cancelled through our frames).
SHIM_FLAGS := -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-plt -fexceptions \
	-fasynchronous-unwind-tables -fno-builtin-malloc -fno-stack-protector
SHIM_LDFLAGS := -shared -Wl,-soname,libperfshim.so -Wl,-z,now -Wl,-z,nodelete -Wl,-z,initfirst \
	-Wl,-z,relro -Wl,-z,separate-code -Wl,--no-undefined -Wl,--version-script=shim/exports.map
