# stactools-ingest: `make run` runs the whole example on this machine, `make test` runs the tests.
#
#   make              build the daemons                      make deps     install missing dependencies (lists them)
#   make run          set up, build, run the whole example   make test     set up, build, run the tests
#   make bench        rates and ratios: BENCH=one_partition,queue BENCH_ITEMS=10000 BENCH_REPEAT=3 (docs/explanation/performance.md)
#   make simulate     simulate the scaling policy of terraform/ with bursts and idle nights (docs/explanation/scaling.md)
#   make up, down     start and stop a local stack; it writes build/local/env (LOCAL=build/other: a second one)
#   make generate     write the configuration keys and metrics in etc/, man/ and docs/reference/ from the C tables
#   make install DESTDIR= PREFIX=/usr/local                   make format, check-format, lint
#   make deploy, destroy      the deployment of config.yaml   make images, deb    container images; a Debian package
#   make docs         the documentation as a site, in build/site
#   TEST_PROCESSES=2: test files that run at the same time (0: one after another, for a debugger); PYTEST="-k leaks": options
#   V=1: show the commands    SAN=1: with AddressSanitizer and UndefinedBehaviorSanitizer    CC=clang: with clang

Q := $(if $(V),,@)
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
DESTDIR ?=

ifeq ($(origin CC),default)
CC := gcc
endif

# The only place of the version: programs, man pages, package and images read it.
VERSION := $(shell cat VERSION)
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Werror
LIBRARIES := libcurl openssl libcjson libpq libsystemd yaml-0.1 expat libmicrohttpd zlib
CPPFLAGS += -D_GNU_SOURCE -Ilib -Idaemons -Ilibexec -DVERSION='"$(VERSION)"' -DSYSCONFDIR='"$(SYSCONFDIR)"' -DPREFIX='"$(PREFIX)"'

ifdef SAN
OUT := build/san
CFLAGS ?= -O1 -g
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else
OUT := build
CFLAGS ?= -O2 -g
HARDENING := -D_FORTIFY_SOURCE=2
endif
ALL_CFLAGS = -std=gnu11 $(WARNINGS) $(CFLAGS) -ffile-prefix-map=$(CURDIR)=. -fPIE -fstack-protector-strong $(HARDENING) $(SANITIZE) \
             $(LIBRARY_CFLAGS) -pthread
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now $(SANITIZE) -pthread
LIBRARY_CFLAGS := $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)
LDLIBS := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null)

PROGRAMS := $(patsubst daemons/%/main.c,%,$(wildcard daemons/*/main.c))
# The sources in a folder and in the folders in it; their objects.
sources = $(wildcard $(1)/*.c $(1)/*/*.c)
objects = $(patsubst %.c,$(OUT)/obj/%.o,$(call sources,$(1)))
# Each folder of lib/ is an archive. The linker reads them in this order, so each can use only the archives after it.
LIBS := worker daemon pgstac sqs stac aws sigv4 http base
ARCHIVES := $(LIBS:%=$(OUT)/lib/lib%.a)
# itemgend's modules, for their unit tests.
ITEMGEND := $(OUT)/lib/libitemgend.a
BINARIES := $(PROGRAMS:%=$(OUT)/bin/%)
# Programs that only a daemon starts. It looks for them at ../libexec/stactools-ingest from its own directory.
HELPERS := $(OUT)/libexec/stactools-ingest/itemgend-network $(OUT)/libexec/stactools-ingest/forkserver.py

UNIT_TESTS := $(patsubst tests/unit/%.c,$(OUT)/tests/%,$(wildcard tests/unit/test_*.c))
# Programs that tests run, one file each: tests/unit/tool_sigv4_suite.c is $(OUT)/tests/sigv4-suite.
TEST_TOOLS := $(foreach t,$(wildcard tests/unit/tool_*.c),$(OUT)/tests/$(subst _,-,$(patsubst tests/unit/tool_%.c,%,$(t))))
TEST_OBJECTS := $(OUT)/obj/tests/unit/test.o
# Also one file each: bench/load.c is $(OUT)/bench/load.
BENCH_PROGRAMS := $(patsubst bench/%.c,$(OUT)/bench/%,$(wildcard bench/*.c))

.PHONY: all deps deps-test docs test test-now test-long test-terraform bench simulate run up down status install uninstall deb deb-now images deploy destroy generate format check-format analyze cppcheck lint clean
all: $(BINARIES) $(HELPERS)

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define ARCHIVE_RULE
$(OUT)/lib/lib$(notdir $(1)).a: $(filter-out %/main.o,$(call objects,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach folder,$(LIBS:%=lib/%) daemons/itemgend,$(eval $(call ARCHIVE_RULE,$(folder))))

define PROGRAM_RULE
$(OUT)/bin/$(1): $(call objects,daemons/$(1)) $(ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM_RULE,$(p))))

NETWORK := libexec/stactools-ingest/itemgend-network
ifdef SAN
# Without sanitizers: they reserve more memory than the limits of an item allow, and it runs inside these limits.
$(OUT)/$(NETWORK): $(wildcard libexec/itemgend-network/*.[ch]) $(ARCHIVES)
	@mkdir -p $(@D)
	@$(MAKE) --no-print-directory SAN= build/$(NETWORK)
	$(Q)install -m 755 build/$(NETWORK) $@
else
# Small on purpose: one runs beside each sandbox.
$(OUT)/$(NETWORK): $(call objects,libexec/itemgend-network) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--as-needed -o $@ $^ $(LDLIBS)
endif
$(OUT)/libexec/stactools-ingest/%.py: libexec/%.py
	@mkdir -p $(@D)
	$(Q)install -m 755 $< $@

$(OUT)/tests/test_%: $(OUT)/obj/tests/unit/test_%.o $(TEST_OBJECTS) $(ITEMGEND) $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray,--wrap=strdup,--wrap=strndup -o $@ $(filter %.o,$^) $(ITEMGEND) $(ARCHIVES) $(LDLIBS)

define TOOL_RULE
$(OUT)/tests/$(subst _,-,$(1)): $(OUT)/obj/tests/unit/tool_$(1).o $(ITEMGEND) $(ARCHIVES)
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(ITEMGEND) $$(ARCHIVES) $$(LDLIBS)
endef
$(foreach t,$(patsubst tests/unit/tool_%.c,%,$(wildcard tests/unit/tool_*.c)),$(eval $(call TOOL_RULE,$(t))))

$(OUT)/bench/%: $(OUT)/obj/bench/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) $(LDLIBS)

# Code that several test programs share.
$(OUT)/tests/test_sigv4 $(OUT)/tests/sigv4-suite: $(OUT)/obj/tests/unit/sigv4_case.o

.SECONDARY:
-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

# Targets that need the Debian packages of deps run another make, because this one called pkg-config before they were
# installed.
TOOLS := build/venv/bin
LOCAL ?= build/local
TEST_PROCESSES ?= 2
TESTS ?= tests

deps:
	@local/deps.sh

deps-test:
	@local/deps.sh test

run: deps
	@$(MAKE) --no-print-directory -s all
	@local/run.sh

up: deps
	@$(MAKE) --no-print-directory -s all
	@$(TOOLS)/python -m local.stack up --dir $(LOCAL) --programs $(OUT)/bin

down status:
	@if [ -x $(TOOLS)/python ]; then $(TOOLS)/python -m local.stack $@ --dir $(LOCAL); else echo "nothing is up"; fi

test: deps-test
	@$(MAKE) --no-print-directory -s test-now

test-now: all $(UNIT_TESTS) $(TEST_TOOLS) $(BENCH_PROGRAMS)
	@BUILD=$(OUT) $(TOOLS)/pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST) $(TESTS)

# BENCH: cases, separated by commas; BENCH_ITEMS, BENCH_REPEAT: sizes. docs/explanation/performance.md lists the cases.
bench: deps
	@$(MAKE) --no-print-directory -s all $(BENCH_PROGRAMS)
	@$(TOOLS)/python -m bench --programs $(OUT)

docs:
	@local/deps.sh docs
	@NO_MKDOCS_2_WARNING=1 build/venv-docs/bin/mkdocs build --quiet --strict $(DOCS)
	@echo "open build/site/index.html"

# SIMULATE: "--scenario burst,night", "--json", "--update docs/explanation/scaling.md", ...
simulate:
	@python3 -m simulation $(SIMULATE)

# Also the tests that take minutes: a hundred seeds of the model test, other versions of pgstac, terraform's apply and
# destroy.
test-long:
	@LONG=1 $(MAKE) --no-print-directory test

# The long tests of terraform/ only.
test-terraform:
	@LONG=1 $(MAKE) --no-print-directory test TESTS=tests/terraform

# The generated parts of etc/, man/ and docs/reference/. A test in tests/gates compares them with the programs.
generate: all
	@python3 local/generate.py $(OUT)/bin

# ------------------------------------------------------------ gates
SOURCES := $(foreach folder,$(wildcard lib/* daemons/* libexec/*),$(call sources,$(folder))) $(wildcard bench/*.c)
FORMATTED := $(SOURCES) $(wildcard $(foreach top,lib daemons libexec,$(top)/*/*.h $(top)/*/*/*.h) tests/unit/*.[ch])

format:
	clang-format -i $(FORMATTED)

check-format:
	clang-format --dry-run -Werror $(FORMATTED)

# In a separate directory, because the analyzer needs each file to be compiled again.
analyze:
	@$(MAKE) --no-print-directory OUT=build/analyze CFLAGS="-O1 -fanalyzer" $(SOURCES:%.c=build/analyze/obj/%.o)

cppcheck:
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability,performance \
	    --suppressions-list=tests/gates/cppcheck.txt -D_GNU_SOURCE -Ilib -Idaemons -Ilibexec $(SOURCES)

lint: check-format cppcheck analyze
	$(TOOLS)/pytest -q tests/gates

# ------------------------------------------------------------ installing
# %.in files: @bindir@, @libexecdir@, @sysconfdir@.
define INSTALL_IN
sed -e 's|@bindir@|$(PREFIX)/bin|g' -e 's|@libexecdir@|$(PREFIX)/libexec/stactools-ingest|g' -e 's|@sysconfdir@|$(SYSCONFDIR)|g' $(1) >$(2)
endef

# The man pages name the version and the directory of the installed documents.
define INSTALL_MAN
sed -e 's|^\.Os stactools-ingest$$|& $(VERSION)|' -e 's|/usr/local/share/doc|$(PREFIX)/share/doc|' $(1) >$(2)
endef

install: all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(SYSCONFDIR)/stactools-ingest" \
	    "$(DESTDIR)$(PREFIX)/share/man/man8" "$(DESTDIR)$(PREFIX)/share/doc/stactools-ingest"
	install -m 755 $(BINARIES) "$(DESTDIR)$(PREFIX)/bin"
	install -D -m 755 -t "$(DESTDIR)$(PREFIX)/libexec/stactools-ingest" $(HELPERS)
	for program in $(PROGRAMS); do \
	    $(call INSTALL_MAN,man/$$program.8,"$(DESTDIR)$(PREFIX)/share/man/man8/$$program.8") || exit; done
	install -m 644 README.md CHANGELOG.md "$(DESTDIR)$(PREFIX)/share/doc/stactools-ingest"
	for page in $$(cd docs && find . -name '*.md'); do \
	    install -D -m 644 "docs/$$page" "$(DESTDIR)$(PREFIX)/share/doc/stactools-ingest/docs/$$page" || exit; done
	$(call INSTALL_IN,systemd/itemgend.service.in,"$(DESTDIR)$(UNITDIR)/itemgend.service")
	$(call INSTALL_IN,systemd/itemloadd.service.in,"$(DESTDIR)$(UNITDIR)/itemloadd.service")
	@# An administrator's configuration is kept, and the new one is installed beside it.
	@for file in itemgend.yaml itemloadd.yaml constraints.txt; do \
	    target="$(DESTDIR)$(SYSCONFDIR)/stactools-ingest/$$file"; \
	    if [ -e "$$target" ] && ! cmp -s "etc/$$file" "$$target"; then \
	        install -m 644 "etc/$$file" "$$target.new" && echo "kept $$target; the new one is $$target.new"; \
	    else install -m 644 "etc/$$file" "$$target"; fi; done
	@echo "installed; next: edit $(SYSCONFDIR)/stactools-ingest/*.yaml, systemctl daemon-reload, systemctl enable --now itemgend itemloadd"

uninstall:
	rm -f $(PROGRAMS:%="$(DESTDIR)$(PREFIX)/bin/%") $(PROGRAMS:%="$(DESTDIR)$(UNITDIR)/%.service") \
	    $(PROGRAMS:%="$(DESTDIR)$(PREFIX)/share/man/man8/%.8")
	rm -rf "$(DESTDIR)$(PREFIX)/share/doc/stactools-ingest" "$(DESTDIR)$(PREFIX)/libexec/stactools-ingest"

# ------------------------------------------------------------ packages

ARCHITECTURE ?= $(shell dpkg --print-architecture)
DEB := build/stactools-ingest_$(VERSION)_$(ARCHITECTURE).deb
# The time of all files in it is the last commit's, so that a second build is identical.
SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
# The directory of uv and uvx.
UV ?= $(TOOLS)

deb:
	@local/deps.sh deb
	@$(MAKE) --no-print-directory -s deb-now

deb-now: all
	@rm -rf build/deb
	@$(MAKE) --no-print-directory -s install PREFIX=/usr DESTDIR=build/deb >/dev/null
	@SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) deb/build.sh build/deb $(UV) $(DEB)

images:
	@release=$$(container/images.sh release) && for name in itemgend itemloadd migrate pgbouncer; do \
	    container/images.sh build $$name stactools-ingest/$$name:$$release || exit; done

# CONFIG=config.yaml CONFIRM=yes PLAN=1 (prints what would be done): terraform/deploy.sh explains them.
deploy:
	@terraform/deploy.sh $(if $(PLAN),--plan)

destroy:
	@terraform/deploy.sh --destroy

clean: down
	rm -rf build
