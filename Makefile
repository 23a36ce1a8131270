# moonwire: builds the program, runs its tests, installs it. `make help` lists what there is to ask for.
# Everything made here lies under build/<mode>/ (and spec/node_modules): release, or the sanitizers' names.
# SPDX-License-Identifier: MIT

# --- yours to set: on the command line, or in the environment ---------------------------------------------------------

CC       ?= cc
CFLAGS   ?= -O2 -g
LDFLAGS  ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=# e.g. address,undefined
EXAMPLE  ?= front# which one `run` runs
ARGS     ?=# what `run`, `test` and `bench` hand to their script
SECONDS  ?= 60# how long `fuzz` gives each target; of `soak` 1200, if it isn't given
TARGET   ?=# the targets that `fuzz` runs, all by default
JOBS     ?= 2# how many of them at a time
FUZZ_SECONDS ?= 60# SECONDS of the fuzzing that is a part of `test`
V        ?=# 1 shows the whole commands

# --- the project's own ------------------------------------------------------------------------------------------------

# All cores, unless told otherwise; `make clean all` must keep its order.
ifeq ($(filter -j%,$(MAKEFLAGS))$(filter clean,$(MAKECMDGOALS)),)
MAKEFLAGS += --jobs=$(shell nproc)
endif

comma        := ,
sanitizers   := address,undefined
mode_of       = $(subst $(comma),-,$(1))
mode         := $(if $(SANITIZE),$(call mode_of,$(SANITIZE)),release)
program      := build/$(mode)/moonwire
test_modes   := $(if $(SANITIZE),$(mode),release $(call mode_of,$(sanitizers)))
check_modes  := check-gcc check-clang

sources      := $(sort $(wildcard src/*.c src/*/*.c))
thread_specs := spec/system/threads_spec.lua spec/system/log_spec.lua
native_tests := $(sort $(wildcard spec/native/*_test.c))
fuzz_targets := $(patsubst spec/fuzz/%_fuzz.c,%,$(sort $(wildcard spec/fuzz/*_fuzz.c)))
fuzz_shared  := $(filter-out %_fuzz.c,$(sort $(wildcard spec/fuzz/*.c)))
fuzz_programs := $(fuzz_targets:%=build/fuzz/%_fuzz)
fuzz_sources := $(fuzz_shared) $(fuzz_targets:%=spec/fuzz/%_fuzz.c)
preloads     := spec/native/failing_malloc.c spec/native/jumping_clock.c# of programs under test
c_files      := $(sources) $(native_tests) $(fuzz_sources) $(preloads) \
                $(sort $(wildcard src/*.h src/*/*.h spec/native/*.h spec/fuzz/*.h))
lua_files    := $(shell find lua -name '*.lua' 2>/dev/null | sort)
# What running examples leave beside themselves is not part of them.
examples     := $(shell find examples -type f -not -path '*/.*' -not -name '*.db*' -not -name '*.key' 2>/dev/null | sort)

# These ask pkg-config once, and only when something is compiled: by then `run` and `test` have installed it.
once          = $(eval $(1) := $(2))$($(1))
packages     := lua5.4 lua5.4-luv libuv libwebsockets libssl libcrypto zlib
pkg_cflags    = $(call once,pkg_cflags,$(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(packages))))
pkg_libs      = $(call once,pkg_libs,$(filter-out -llua%,$(shell pkg-config --libs $(packages))))

warnings     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
cppflags     := -D_GNU_SOURCE -Isrc
# Lua comes from the archive, whole and exported: the modules that scripts load (cjson, lfs …) must find this Lua and no
# other. Static it is also measurably faster than behind the procedure linkage table.
ldflags       = -rdynamic -Wl,--as-needed
libraries     = -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive $(pkg_libs) -lm -ldl -lpthread

# Quoted where they are used: a PREFIX may have spaces.
bin_dir      := $(DESTDIR)$(PREFIX)/bin
share_dir    := $(DESTDIR)$(PREFIX)/share/moonwire

# `run` and `test` first install what they miss from the system's packages; the other targets never do.
needs := $(if $(filter run test,$(MAKECMDGOALS)),build examples) $(if $(filter test,$(MAKECMDGOALS)),test fuzz)
ifneq ($(strip $(needs)),)
ifeq ($(findstring n,$(firstword -$(MAKEFLAGS))),)
$(shell src/bootstrap need $(needs) >&2)
ifneq ($(.SHELLSTATUS),0)
$(error packages are missing, see above)
endif
endif
endif

ifneq ($(filter fuzz,$(MAKECMDGOALS)),)
ifeq ($(shell command -v clang),)
$(error fuzz: clang is missing; src/bootstrap need fuzz installs what this target uses)
endif
endif

# --- what to ask for --------------------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.PHONY: all run test fuzz soak threads check format bench install uninstall clean help native specs fuzz-smoke fuzz-tools check-c \
        check-lua check-tools
.DELETE_ON_ERROR:

all: $(program) ## build the program (default); SANITIZE=address,undefined builds it with checks

run: $(program) ## install what is missing, build, and run all examples with a front page; EXAMPLE=chat runs one
	$(program) examples/$(EXAMPLE)/server.lua $(ARGS)

test: native fuzz-smoke threads specs ## install what is missing, build, run every test, plain and under sanitizers, and fuzz

fuzz: $(fuzz_programs) ## invented input, for SECONDS=60 each, to what reads from the network; e.g. TARGET=frame JOBS=2
	@spec/fuzz/run.sh $(SECONDS) $(JOBS) $(or $(TARGET),$(fuzz_targets))

check: check-c check-lua ## compile with gcc and clang, no warning allowed; static analysis; style

format: ## lay out the C files (and the Lua files, where stylua is installed)
	clang-format -i $(c_files)
	if command -v stylua >/dev/null; then stylua lua spec examples; fi

bench: $(program) ## measure moonwire beside its peers; e.g. SCENARIO=echo-64 ROUNDS=9 PEERS=bun; GROWTH=1 draws curves
	$(program) spec/bench/run.lua $(ARGS)

soak: $(program) spec/node_modules/.stamp ## 20 minutes of everything at once: memory, descriptors, lost messages; e.g. SECONDS=60
	$(program) spec/soak/run.lua $(ARGS)

install: build/release/moonwire ## copy everything below PREFIX (/usr/local); DESTDIR is put in front
	@install -D -m 755 $< "$(bin_dir)/moonwire"
	@for f in $(lua_files) $(examples); do \
	    install -D -m 644 "$$f" "$(share_dir)/$$f" || exit; done
	@echo "installed: $(bin_dir)/moonwire, and its Lua modules and examples in $(share_dir)"

uninstall: ## remove what install copied
	@rm -f "$(bin_dir)/moonwire"
	@for f in $(lua_files) $(examples); do rm -f "$(share_dir)/$$f"; done
	@if [ -d "$(share_dir)" ]; then find "$(share_dir)" -depth -type d -empty -delete; fi
	@echo "removed: $(bin_dir)/moonwire and $(share_dir)"

clean: ## remove what was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS='	' read -r target text; do \
	    printf '  make %-10s %s\n' "$$target" "$$text"; done

# --- building ---------------------------------------------------------------------------------------------------------

modes := $(sort release thread $(mode) $(call mode_of,$(sanitizers)) $(check_modes) fuzz)

sanitize = $(if $(1),-fsanitize=$(1) -fno-omit-frame-pointer -fno-sanitize-recover=all)
build/$(call mode_of,$(sanitizers))/%: mode_flags = $(call sanitize,$(sanitizers))
build/thread/%: mode_flags = $(call sanitize,thread)
ifneq ($(SANITIZE),)
build/$(mode)/%:    mode_flags = $(call sanitize,$(SANITIZE))
endif
build/fuzz/%:        compiler = clang
build/fuzz/%:        mode_flags = -fsanitize=fuzzer-no-link,$(sanitizers) -fno-omit-frame-pointer -fno-sanitize-recover=all
build/check-gcc/%:   compiler = gcc
build/check-clang/%: compiler = clang
build/check-gcc/% build/check-clang/%: mode_flags = -Werror

compiler   = $(CC)
mode_flags =
silent     = $(findstring s,$(firstword -$(MAKEFLAGS)))
show       = $(if $(V),,@$(if $(silent),,echo '  $(1) $@' &&))
compile    = $(compiler) -std=gnu11 $(cppflags) $(pkg_cflags) $(CPPFLAGS) $(CFLAGS) $(warnings) $(mode_flags)
link       = $(compiler) $(CFLAGS) $(mode_flags) $(ldflags) $(LDFLAGS)

define rules_of_mode
build/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(call show,cc)   $$(compile) -MMD -MP -c -o $$@ $$<

# luv doesn't look at what malloc gives it: what it gets is never NULL (base/spare.h).
build/$(1)/luv.a: Makefile
	@mkdir -p $$(@D)
	$$(call show,copy) objcopy --redefine-sym malloc=mw_sure_malloc --redefine-sym calloc=mw_sure_calloc \
	    --redefine-sym free=mw_spare_free "$$$$($$(compiler) -print-file-name=liblua5.4-luv.a)" $$@

build/$(1)/moonwire: $(sources:%.c=build/$(1)/%.o) build/$(1)/luv.a
	$$(call show,link) $$(link) -o $$@ $$^ $$(libraries)

# For LD_PRELOAD, so without sanitizers and without knowing better than to call libc.
$(preloads:spec/native/%.c=build/$(1)/spec/%.so): build/$(1)/spec/%.so: spec/native/%.c Makefile
	@mkdir -p $$(@D)
	$$(call show,link) $$(compiler) -std=gnu11 $(cppflags) $$(CFLAGS) $(warnings) $$(filter -Werror,$$(mode_flags)) -fno-builtin \
	    -fPIC -shared -o $$@ $$< -ldl

$(native_tests:spec/native/%.c=build/$(1)/spec/%): build/$(1)/spec/%: \
    build/$(1)/spec/native/%.o $(patsubst %.c,build/$(1)/%.o,$(filter-out src/main.c,$(sources))) build/$(1)/luv.a
	@mkdir -p $$(@D)
	$$(call show,link) $$(link) -o $$@ $$^ $$(libraries)
endef
$(foreach m,$(modes),$(eval $(call rules_of_mode,$(m))))

$(fuzz_programs): build/fuzz/%: build/fuzz/spec/fuzz/%.o $(patsubst %.c,build/fuzz/%.o,$(fuzz_shared)) \
    $(patsubst %.c,build/fuzz/%.o,$(filter-out src/main.c,$(sources))) build/fuzz/luv.a | fuzz-tools
	$(call show,link) $(link) -fsanitize=fuzzer -o $@ $^ $(libraries)

.SECONDARY:
-include $(foreach m,$(modes),$(patsubst %.c,build/$(m)/%.d,$(sources) $(native_tests) $(fuzz_sources)))

# --- testing ----------------------------------------------------------------------------------------------------------

native_programs := $(foreach m,$(test_modes),$(native_tests:spec/native/%.c=build/$(m)/spec/%))
preload_programs := $(foreach m,$(test_modes),$(preloads:spec/native/%.c=build/$(m)/spec/%.so))

native: $(native_programs)
	@for t in $(native_programs); do \
	    "$$t" >"$$t.log" 2>&1 || { cat "$$t.log"; echo "$$t failed"; exit 1; }; \
	    echo "$$t: $$(tail -n 1 "$$t.log")"; done

# Plain first, as it fails faster. The interpreter is our own program: specs wait for their events on its loop.
specs: native $(test_modes:%=build/%/moonwire) $(preload_programs) spec/node_modules/.stamp | $(if $(filter test,$(MAKECMDGOALS)),threads)
	@failed=; for m in $(test_modes); do \
	    echo "build/$$m/moonwire spec/run.lua $(ARGS)"; \
	    build/$$m/moonwire spec/run.lua $(ARGS) || failed=1; done; [ -z "$$failed" ]

# ThreadSanitizer wants its addresses where some kernels don't leave them. Nothing that it finds in what it does not see
# into (libuv, OpenSSL) had to be suppressed so far.
threads: build/thread/moonwire | $(if $(filter test,$(MAKECMDGOALS)),fuzz-smoke) ## threads beside the loop, under ThreadSanitizer
	@if $< --version >/dev/null; then echo "$< spec/run.lua $(thread_specs)"; \
	    TSAN_OPTIONS="halt_on_error=1 $$TSAN_OPTIONS" $< spec/run.lua $(thread_specs); \
	    else echo "threads: ThreadSanitizer does not run here, see above"; fi

# Not beside anything else: on a busy machine it finds less in its time.
fuzz-smoke: native $(test_modes:%=build/%/moonwire) $(fuzz_programs)
	@spec/fuzz/self_test.sh
	@spec/fuzz/run.sh $(FUZZ_SECONDS) $(JOBS) $(fuzz_targets)

fuzz-tools:
	@echo 'int LLVMFuzzerTestOneInput(const char *data, long len); int LLVMFuzzerTestOneInput(const char *data, long len) \
	    { return data && len < 0; }' | clang -fsanitize=fuzzer,$(sanitizers) -x c -o /dev/null - 2>/dev/null || { \
	    echo "fuzz: clang with libFuzzer is missing; src/bootstrap need fuzz installs what this target uses" >&2; exit 1; }

# The peers from npm. Exact versions stand in spec/package.json; nothing is written outside of spec/node_modules.
spec/node_modules/.stamp: spec/package.json
	@echo "test: fetching the npm packages of spec/package.json, which the specs talk to as independent peers"
	cd spec && npm install --no-package-lock --no-save --no-audit --no-fund --loglevel=error
	@touch $@

# --- checking ---------------------------------------------------------------------------------------------------------

checked     := $(sources) $(native_tests) $(fuzz_sources)
check_tools := gcc clang cppcheck clang-tidy clang-format luacheck

check-tools:
	@for t in $(check_tools); do command -v $$t >/dev/null || { \
	    echo "check: $$t is missing; src/bootstrap need check installs what this target uses" >&2; exit 1; }; done

# cppcheck takes arrays that are filled through pointers for uninitialised; both compilers and clang-tidy look as well.
check-c: check-tools $(foreach m,$(check_modes),$(patsubst %.c,build/$(m)/%.o,$(checked)) \
    $(preloads:spec/native/%.c=build/$(m)/spec/%.so))
	@echo "  clang-format"; clang-format --dry-run --Werror $(c_files)
	@echo "  cppcheck"; cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --error-exitcode=1 --suppress=missingIncludeSystem --suppress=uninitvar $(cppflags) $(checked)
	@echo "  clang-tidy"; printf '%s\n' $(checked) | xargs -n 4 -P $(shell nproc) sh -c \
	    'clang-tidy --quiet "$$@" -- -std=gnu11 $(cppflags) $(pkg_cflags) $(warnings) 2>/dev/null' --

check-lua: check-tools
	@echo "  luacheck"; luacheck --quiet --codes lua spec examples
