# SPDX-License-Identifier: GPL-2.0
# The module against any kernel that has Rust; everything else in the lab,
# which brings its own kernel and tools (scripts/lab --help).

help:
	@echo '  modules          the module, for KDIR (now $(KDIR))'
	@echo '  modules_install  installs it there'
	@echo '  lab              sets up the build root and the test kernel'
	@echo '  userspace        the crates and the syslet program, built in the lab'
	@echo '  demo             reads all files under /usr/share in the guest, checked and timed'
	@echo '  bench            what syslets cost, by instruction count, beside what was aimed at'
	@echo '  check            all tests; check-host and check-guest: a part of them'
	@echo '  check-debug      those in the guest, on a kernel with KASAN, lockdep and friends'
	@echo '  check-kcsan      the same on one with KCSAN'
	@echo '  soak             the long tests'
	@echo '  fuzz             fuzzes pure code, a minute for each part (scripts/fuzz --help)'
	@echo '  fmt, lint        formats; checks the form'
	@echo '  clean            removes what was built'

KDIR ?= /lib/modules/$(shell uname -r)/build

# A module is built by the compiler that built its kernel, or what comes next
# to it. CC or LLVM on the command line come first.
conf = $(shell sed -n 's/^CONFIG_$(1)=\(.*\)/\1/p' $(KDIR)/include/config/auto.conf 2>/dev/null)
cc_text = $(subst ",,$(call conf,CC_VERSION_TEXT))
major = $(firstword $(subst ., ,$(lastword $(cc_text))))
version_of = $(shell $(1) -dumpversion 2>/dev/null | cut -d. -f1)
first_of = $(firstword $(foreach cc,$(1),$(if $(filter $(2),$(call version_of,$(cc))),$(cc))))
gcc = $(addprefix CC=,$(call first_of,$(firstword $(cc_text)) gcc-$(major),$(major)))
clang_major = $(shell expr $(or $(call conf,CLANG_VERSION),0) / 10000)
llvm = LLVM=$(if $(filter clang-%,$(call first_of,clang clang-$(clang_major),$(clang_major))),-$(clang_major),1)
compiler := $(if $(findstring command,$(origin CC)$(origin LLVM)),,$(if $(call conf,CC_IS_CLANG),$(llvm),$(gcc)))

# MO: where the output goes, instead of this directory.
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(MO),MO=$(MO)) $(compiler)

modules:
	@test -e $(KDIR)/rust/libkernel.rmeta || { \
		echo 'no Rust metadata in KDIR=$(KDIR):' \
			'it must be a kernel with CONFIG_RUST=y, prepared for modules' >&2; exit 1; }
	$(kbuild) modules

modules_install:
	$(kbuild) modules_install

lab:
	scripts/lab setup

userspace: lab
	scripts/lab build userspace

demo: lab
	scripts/lab build all
	scripts/lab run --timeout 1800 -- syslet demo --path /usr/share

bench:
	@scripts/bench

check:
	@scripts/check all

check-host:
	@scripts/check host

check-guest:
	@scripts/check guest

check-debug:
	@scripts/check debug

check-kcsan:
	@scripts/check kcsan

soak:
	@scripts/soak

fuzz:
	@scripts/fuzz

fmt: lab
	scripts/lab exec cargo fmt --all
	scripts/lab exec sh -c 'rustfmt --config-path "$$SYSLET_KDIR/.rustfmt.toml" rust/syslet_main.rs'

lint:
	@scripts/check lint

clean:
	@test ! -e $(KDIR)/Makefile || $(kbuild) clean
	scripts/lab clean

.PHONY: help modules modules_install lab userspace demo bench check check-host check-guest check-debug check-kcsan soak fuzz fmt lint clean
