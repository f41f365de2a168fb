# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What every subcommand shares: places, messages, stamps, entering the root.

LAB=${SYSLET_LAB:-${HOME:-/root}/.cache/syslet-lab}
ROOT=$LAB/root
SRC=$(realpath -- "$here/..")

# Two checkouts must not fight over one build directory.
tree_id=$(printf %s "$SRC" | sha256sum | cut -c1-12)
OUT=$LAB/out/$tree_id
TARGET=$OUT/target

# chroot is there, and users often have not.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'lab: %s\n' "$*" >&2; }
die() {
	printf 'lab: error: %s\n' "$*" >&2
	exit 1
}

hash_of() { printf '%s\0' "$@" | sha256sum | cut -c1-16; }

stamp_is() { [[ -r $LAB/stamps/$1 && $(<"$LAB/stamps/$1") == "$2" ]]; }
stamp() {
	mkdir -p "$LAB/stamps"
	printf '%s\n' "$2" >"$LAB/stamps/.$1.$$"
	mv -f "$LAB/stamps/.$1.$$" "$LAB/stamps/$1"
}

# Long steps run as their own process group, so that an interrupted lab takes
# them along, and nothing else.
job=
end_job() {
	[[ -z $job ]] || kill -KILL -- "-$job" 2>/dev/null || true
	job=
}
trap end_job EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# long LABEL COMMAND...: run it with its output in a log, saying how it goes.
long() {
	local label=$1 log begun=$SECONDS last=0
	shift
	mkdir -p "$LAB/logs"
	log=$LAB/logs/${label//[^A-Za-z0-9.]/-}.log
	say "$label (log: $log)"
	set -m
	"$@" </dev/null >"$log" 2>&1 &
	job=$!
	set +m
	while kill -0 "$job" 2>/dev/null; do
		sleep 0.5
		if ((SECONDS - begun >= last + 10)); then
			last=$((SECONDS - begun))
			say "  ... $label: $last s: $(tail -n 1 "$log" | tr -d '\r' | cut -c1-90)"
		fi
	done
	local status=0
	wait "$job" || status=$?
	job=
	if ((status)); then
		tail -n 40 "$log" >&2
		die "$label failed (status $status); the whole log is $log"
	fi
	say "$label: done in $((SECONDS - begun)) s"
}

guard=() lock=

# in_root COMMAND...: run it in the root, in mount and pid namespaces of its
# own: no mount and no process outlives it. The checkout and the cache are at
# their own paths, so that a path means the same outside, inside and in the
# guest. guard is put before all of it. A setup waits until nobody is in, and
# the other way round.
in_root() {
	local shared=(flock --shared --no-fork "$LAB/lock")
	[[ -z $lock ]] || shared=()
	"${guard[@]}" "${shared[@]}" unshare --mount --pid --fork --kill-child --propagation private \
		bash -euc '
		root=$1 lab=$2 src=$3
		shift 3
		for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
			if [[ -s $file && -d $root${file%/*} ]] && ! cmp -s "$file" "$root$file"; then
				new=$(mktemp "$root$file.XXXXXX")
				cat "$file" >"$new"
				chmod 644 "$new"
				mv "$new" "$root$file"
			fi
		done
		# The file server wants its root to be a mount point.
		mount --bind "$root" "$root"
		# A program run by root may well replace /dev/null: not that of the host.
		mount -t tmpfs -o mode=755 tmpfs "$root/dev"
		for dev in null zero full random urandom tty; do
			touch "$root/dev/$dev"
			mount --bind "/dev/$dev" "$root/dev/$dev"
		done
		mkdir "$root"/dev/{pts,shm}
		mount --rbind /dev/pts "$root/dev/pts"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		ln -s pts/ptmx "$root/dev/ptmx"
		ln -s /proc/self/fd "$root/dev/fd"
		for name in stdin:0 stdout:1 stderr:2; do
			ln -s "/proc/self/fd/${name#*:}" "$root/dev/${name%:*}"
		done
		mount -t proc proc "$root/proc"
		mount -t sysfs sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
		mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
		mount -t tmpfs tmpfs "$root/run"
		for dir in "$lab" "$src"; do
			mkdir -p "$root$dir"
			mount --bind "$dir" "$root$dir"
		done
		exec chroot "$root" /usr/bin/env -C "${LAB_CWD:-/}" "$@"' \
		lab "$ROOT" "$LAB" "$SRC" "${root_env[@]}" "$@"
}

# Nothing of the host's environment but what reaching the network needs.
root_env=(-i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
	TERM="${TERM:-dumb}" DEBIAN_FRONTEND=noninteractive
	CARGO_HOME="$LAB/cargo" CARGO_TARGET_DIR="$TARGET" CARGO_TERM_PROGRESS_WHEN=never
	SYSLET_KDIR="$LAB/kdir" SYSLET_OUT="$OUT")
# What a caller may tell the programs of a build or a guest.
told=(CI RUST_BACKTRACE RUST_LOG PROPTEST_CASES SYSLET_SEED SYSLET_SECONDS SYSLET_STRESS SYSLET_SLOW)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY "${told[@]}"; do
	[[ -z ${!name-} ]] || root_env+=("$name=${!name}")
done
