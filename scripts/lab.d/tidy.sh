# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the lab consists of, and getting rid of it.

versions_usage() {
	cat <<-END
		usage: scripts/lab versions

		Says whether the lab is set up, and with what.
	END
}
clean_usage() {
	cat <<-END
		usage: scripts/lab clean [--all]

		Removes what was built from this checkout; with --all the whole lab
		($LAB).
	END
}

versions_main() {
	case ${1-} in
	-h | --help) versions_usage && return ;;
	'') ;;
	*) die "versions: unknown argument $1 (see --help)" ;;
	esac
	if setup_done; then
		show_versions
	else
		say "not set up, or not wholly: run scripts/lab setup"
		return 1
	fi
}

show_versions() {
	local release version
	read -r release version _ <"$LAB/kernel/chosen"
	cat <<-END
		lab      $LAB ($(du -sh --one-file-system "$LAB" 2>/dev/null | cut -f1))
		suite    $(cut -d' ' -f1 "$ROOT/etc/lab-id")
		kernel   $release ($version), KDIR $LAB/kdir
	END
	in_root sh -c '
		for program in "rustc --version" "cargo --version" "bindgen --version" "gcc --version" \
			"clang --version" "qemu-system-x86_64 --version" "vng --version" "/usr/libexec/virtiofsd --version"; do
			set -- $program
			printf "%-8s %s\n" "$(basename "$1" | cut -c1-8)" "$($program 2>&1 | head -n 1)"
		done'
}

clean_main() {
	case ${1-} in
	-h | --help) clean_usage && return ;;
	'') [[ ! -d $OUT ]] || rm -rf --one-file-system "$OUT" ;;
	--all)
		[[ -d $LAB/stamps || -d $ROOT ]] || die "clean: $LAB does not look like a lab"
		rm -rf --one-file-system "$LAB"
		;;
	*) die "clean: unknown argument $1 (see --help)" ;;
	esac
}
