# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Kernels that check themselves, made from the lab's kernel source. Each is its
# own KDIR. Rust with KASAN needs clang, and the others are made alike.
#
#   debug  KASAN, lockdep and friends, fault injection, KCOV, KUnit
#   kcsan  KCSAN, for the module and what it calls inline; not for the rest of the
#          kernel, whose own races would cover those that matter here

checked_source() { echo "$LAB/kernel/$1/source"; }
checked_module() { echo "$OUT/module-$1/syslet.ko"; }

checked_config() {
	cat "$here/lab.d/debug.config"
	[[ $1 == debug ]] || cat "$here/lab.d/$1.config"
}
checked_key() { hash_of "$1" "$(kernel_key)" "$(declare -f set_up_checked)" "$(checked_config "$1")"; }

has_usage() {
	cat <<-END
		usage: scripts/lab has debug | kcsan

		Whether that kernel is in the lab, and nothing of it to be built.
	END
}

has_main() {
	case ${1-} in
	-h | --help) has_usage ;;
	debug | kcsan) setup_done && stamp_is "$1" "$(checked_key "$1")" ;;
	*) die "has: not a kernel: ${1-} (see --help)" ;;
	esac
}

set_up_checked() {
	local kind=$1 release version series dir=$LAB/kernel/$1 args='' wants
	stamp_is "$kind" "$(checked_key "$kind")" && return
	case $kind in
	debug) wants="KASAN PROVE_LOCKING KCOV FAILSLAB" ;;
	kcsan)
		wants=KCSAN
		args="KCSAN_SANITIZE=n KCSAN_SANITIZE_helpers/helpers.o=y"
		;;
	esac
	read -r release version series <"$LAB/kernel/chosen"
	mkdir -p "$dir"
	checked_config "$kind" >"$dir/config"
	# Made anew only for another source; make knows the rest.
	if [[ ! -d $dir/source || $(<"$dir/source-of") != "$version" ]]; then
		# With the thread sanitizer among those that rustc takes for this target.
		long "unpack linux-source-$series for $kind" in_root bash -euc '
			cd "$1"
			rm -rf source source.new
			mkdir source.new
			tar -C source.new --strip-components=1 -xf "$2"/tree/usr/src/linux-source-*.tar.xz
			sed -i "s/\"kcfi\", \"kernel-address\"\]/\"kcfi\", \"kernel-address\", \"thread\"]/" \
				source.new/scripts/generate_rust_target.rs
			mv source.new source' bash "$dir" "$LAB/kernel/$release"
		echo "$version" >"$dir/source-of"
	fi
	long "$kind kernel $version (some 20 minutes)" in_root nice bash -euc '
		cd "$1/source"
		make="make LLVM=1 -j$(nproc) $2"
		$make x86_64_defconfig
		scripts/kconfig/merge_config.sh -m .config "$1/config"
		$make olddefconfig
		for option in RUST PREEMPT_NOTIFIERS FPROBE VIRTIO_FS KUNIT $3; do
			grep -x "CONFIG_$option=y" .config
		done
		$make bzImage modules_prepare
		cp vmlinux.symvers Module.symvers' bash "$dir" "$args" "$wants"
	stamp "$kind" "$(checked_key "$kind")"
}

build_checked() {
	local kind=$1 args
	set_up_checked "$kind"
	case $kind in
	# Line tables are for scripts/coverage; the kernel itself has none.
	debug) args=(KCFLAGS=-gline-tables-only KRUSTFLAGS=-Cdebuginfo=line-tables-only) ;;
	kcsan) args=(KRUSTFLAGS="-Zsanitizer=thread -Cllvm-args=-tsan-distinguish-volatile=1
		-Cllvm-args=-tsan-instrument-func-entry-exit=0") ;;
	esac
	mkdir -p "$OUT/module-$kind"
	in_tree make -s -j"$(nproc)" modules KDIR="$(checked_source "$kind")" \
		CONFIG_SYSLET_KUNIT_TEST=y MO="$OUT/module-$kind" "${args[@]}"
	say "module: $(checked_module "$kind")"
}
