# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Builds inside the root; nothing is written into the checkout.

MODULE=$OUT/module/syslet.ko

build_usage() {
	cat <<-END
		usage: scripts/lab build [module | debug | kcsan | userspace | tests | all]

		  module      the kernel module, against the lab's KDIR
		  debug       the same against the debug kernel (setup --debug)
		  kcsan       the same against that with KCSAN (setup --kcsan)
		  userspace   the Rust crates and the C programs
		  tests       the test programs, Rust and C, for both word sizes
		  all         module and userspace (the default)

		Output is in the cache: $OUT
	END
}
exec_usage() {
	cat <<-END
		usage: scripts/lab exec [--] COMMAND...

		Runs COMMAND in the build root, in this directory.
	END
}

# Sees to it that there is a root to build in.
have_root() {
	set_up
	mkdir -p "$OUT" "$LAB/cargo"
	printf '%s\n' "$SRC" >"$OUT/checkout"
}

build_main() {
	local what=all
	while (($#)); do
		case $1 in
		module | debug | kcsan | userspace | tests | all) what=$1 ;;
		-h | --help) build_usage && return ;;
		*) die "build: unknown argument $1 (see --help)" ;;
		esac
		shift
	done
	have_root
	case $what in
	all)
		build_module
		build_userspace
		;;
	debug | kcsan) build_checked "$what" ;;
	*) "build_$what" ;;
	esac
}

exec_main() {
	case ${1-} in
	-h | --help) exec_usage && return ;;
	--) shift ;;
	esac
	(($#)) || die "exec: no command (see --help)"
	have_root
	local cwd=$PWD
	[[ $cwd/ == "$SRC/"* ]] || cwd=$SRC
	LAB_CWD=$cwd in_root "$@"
}

in_tree() { LAB_CWD=$SRC in_root "$@"; }

build_module() {
	mkdir -p "$OUT/module"
	in_tree make -s -j"$(nproc)" modules KDIR="$LAB/kdir" MO="$OUT/module"
	say "module: $MODULE"
}

build_userspace() {
	in_tree cargo build --workspace --locked --release
	say "programs: $TARGET/release"
}

build_tests() {
	in_tree make -s -C userspace/selftests -j"$(nproc)" OUT="$OUT/selftests" all all32
	in_tree make -s -C userspace/hop -j"$(nproc)" OUT="$OUT/hop" all kselftests
	in_tree make -s -C samples OUT="$OUT/samples" all
	in_tree cargo test --workspace --locked --no-run --message-format=json \
		>"$OUT/cargo-tests.json.new"
	mv "$OUT/cargo-tests.json.new" "$OUT/cargo-tests.json"
}
