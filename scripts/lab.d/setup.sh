# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# The build root and the kernel in it. Every step is stamped with a hash of
# what went into it, and works beside its result until that is whole.

# Debian suites, best first: the root's rustc must be the one that built the
# suite's kernel, so a kernel is only ever taken together with its suite.
SUITES=${SYSLET_SUITES:-trixie forky}
SERIES=${SYSLET_SERIES:-7.3 7.2}
FLAVOUR=cloud-amd64

PACKAGES=(
	# the module and the kernel's Rust metadata
	gcc make flex bison bc perl python3 kmod cpio zstd xz-utils rsync
	dwarves libssl-dev libelf-dev libdw-dev clang lld llvm libclang-dev
	rustc cargo rust-src rustfmt rust-clippy bindgen
	# tests: C on both ABIs, seccomp, tracing, load, checking
	libc6-dev libc6-dev-i386 gcc-multilib libseccomp-dev libcap-dev pkg-config gdb
	strace stress-ng shellcheck spin git python3-ply python3-git codespell
	'^libpython3[.].*-testsuite$'
	# the guest
	qemu-system-x86 virtme-ng virtiofsd busybox-static iproute2 udev procps
	util-linux psmisc ca-certificates file less
)

setup_usage() {
	cat <<-END
		usage: scripts/lab setup [--update] [--debug] [--kcsan]

		Makes the build root and fetches the kernel, in
		\$SYSLET_LAB (now $LAB).
		Does only what is missing; may be interrupted at any time.

		  --update   look for a newer kernel even where one is there
		  --debug    build a kernel with KASAN, lockdep and friends as well
		             (20 minutes on 2 cores)
		  --kcsan    the same with KCSAN, which finds data races

		Environment:
		  SYSLET_LAB      where all of it is kept
		  SYSLET_MIRROR   Debian mirror (default: the one that apt uses here)
		  SYSLET_SUITES   Debian suites to try, best first ($SUITES)
		  SYSLET_SERIES   kernel series to accept, best first ($SERIES)
	END
}

setup_main() {
	local update='' kind kinds=()
	while (($#)); do
		case $1 in
		--update) update=1 ;;
		--debug | --kcsan) kinds+=("${1#--}") ;;
		-h | --help) setup_usage && return ;;
		*) die "setup: unknown option $1 (see --help)" ;;
		esac
		shift
	done
	[[ -z $update ]] || rm -f "$LAB/stamps/kernel" "$LAB/kernel/chosen"
	set_up
	for kind in "${kinds[@]}"; do
		set_up_checked "$kind"
	done
	show_versions
}

# Makes what is missing.
set_up() {
	setup_done && return
	prerequisites
	mkdir -p "$LAB"
	exec {lock}>"$LAB/lock"
	flock --nonblock "$lock" || {
		say "another lab command is at work; waiting for its end"
		flock "$lock"
	}
	local suite
	for suite in $SUITES; do
		make_root "$suite"
		choose_kernel "$suite" || continue
		install_packages
		fetch_kernel
		make_kdir
		exec {lock}>&-
		lock=
		return
	done
	die "no suite of ($SUITES) offers a $FLAVOUR kernel of a series of ($SERIES)" \
		"with its headers and source; see SYSLET_SUITES and SYSLET_SERIES"
}

# What each step's stamp is a hash of: its recipe and what it works on.
root_key() { hash_of "$(declare -f make_root)" "$1"; }
packages_key() { hash_of "$(<"$ROOT/etc/lab-id")" "$(declare -f install_packages)" "${PACKAGES[@]}"; }
kernel_key() {
	hash_of "$(<"$ROOT/etc/lab-id")" "$(declare -f fetch_kernel)" "$(<"$LAB/kernel/chosen")"
}
kdir_key() { hash_of "$(kernel_key)" "$(declare -f make_kdir)"; }

setup_done() {
	[[ -r $ROOT/etc/lab-id && -r $LAB/kernel/chosen ]] &&
		stamp_is root "$(root_key "$(cut -d' ' -f1 "$ROOT/etc/lab-id")")" &&
		stamp_is packages "$(packages_key)" &&
		stamp_is kernel "$(kernel_key)" &&
		stamp_is kdir "$(kdir_key)"
}

prerequisites() {
	[[ $(uname -m) == x86_64 ]] || die "the lab is for x86-64 machines, this is $(uname -m)"
	local tool missing=() of bootstrap=debootstrap
	[[ -z ${LAB_USERNS-} ]] || bootstrap=mmdebstrap
	declare -A of=([$bootstrap]=$bootstrap [git]=git [make]=make [flock]=util-linux
		[unshare]=util-linux [chroot]=coreutils [realpath]=coreutils)
	for tool in "${!of[@]}"; do
		command -v "$tool" >/dev/null || missing+=("${of[$tool]}")
	done
	[[ -r /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
	((${#missing[@]})) || return 0
	if [[ -n ${LAB_USERNS-} ]] || ! command -v apt-get >/dev/null; then
		die "missing here: ${missing[*]} (Debian's package names); install them and try again"
	fi
	say "installing what is missing here: ${missing[*]}"
	long "apt-get update" apt-get update
	long "apt-get install" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "${missing[@]}"
}

# The mirror that apt has here; debootstrap knows one where there is none.
mirror() {
	if [[ -n ${SYSLET_MIRROR-} ]]; then
		echo "$SYSLET_MIRROR"
	elif command -v apt-get >/dev/null; then
		apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 2>/dev/null |
			sed -n 's/^Debian|Debian|//p' | sort -u | head -n 1
	fi
}

make_root() {
	local suite=$1 url script='' new=$LAB/root.new
	if stamp_is root "$(root_key "$suite")" && [[ -d $ROOT ]]; then
		return
	fi
	url=$(mirror)
	# An older debootstrap does not know the suite by name.
	[[ -z $url || -e /usr/share/debootstrap/scripts/$suite ]] ||
		script=/usr/share/debootstrap/scripts/sid
	rm -rf --one-file-system "$new"
	mkdir -p "$new"
	# The host's keyring may be older than the suite: then there is no key for
	# it, and debootstrap says so.
	# In mount namespaces of their own: both leave mounts behind when killed.
	if [[ -n ${LAB_USERNS-} ]]; then
		# debootstrap makes devices.
		long "bootstrap $suite" unshare --mount --propagation private mmdebstrap --mode=root \
			--variant=minbase --include=ca-certificates "$suite" "$new" ${url:+"$url"}
	else
		long "bootstrap $suite" unshare --mount --propagation private debootstrap \
			--variant=minbase --include=ca-certificates "$suite" "$new" ${url:+"$url"} \
			${script:+"$script"}
	fi
	[[ -n $url ]] || url=$(awk '$1 == "deb" { print $2; exit }' "$new/etc/apt/sources.list")
	{
		echo "deb $url $suite main"
		if [[ $suite != forky && $suite != sid ]]; then
			echo "deb $url $suite-updates main"
			echo "deb $url $suite-backports main"
		fi
	} >"$new/etc/apt/sources.list"
	{
		! command -v apt-config >/dev/null ||
			apt-config dump | grep -iE '^Acquire::((https?|ftp)::Proxy|Check-|Retries|ForceIPv4)' || true
		echo 'APT::Install-Recommends "false";'
		# Downloads go where only the caller may write.
		echo 'APT::Sandbox::User "root";'
	} >"$new/etc/apt/apt.conf.d/90lab"
	# A new root is another one, even if made the same way.
	echo "$suite $(date +%s)" >"$new/etc/lab-id"
	rm -f "$LAB/kernel/chosen"
	rm -rf --one-file-system "$LAB/root.old"
	[[ ! -d $ROOT ]] || mv "$ROOT" "$LAB/root.old"
	mv "$new" "$ROOT"
	rm -rf --one-file-system "$LAB/root.old"
	stamp root "$(root_key "$suite")"
}

# Sets kernel/chosen to "RELEASE VERSION SERIES" of the newest kernel whose
# image, headers and source the archive has in one and the same version.
choose_kernel() {
	local series release version
	[[ ! -r $LAB/kernel/chosen ]] || return 0
	long "apt lists of $1" in_root apt-get update
	mkdir -p "$LAB/kernel"
	for series in $SERIES; do
		while read -r release; do
			version=$(newest_version "linux-headers-$release")
			if [[ -n $version ]] && has_version "linux-source-$series" "$version" &&
				has_version "linux-image-$release" "$version"; then
				echo "$release $version $series" >"$LAB/kernel/chosen.new"
				mv "$LAB/kernel/chosen.new" "$LAB/kernel/chosen"
				say "kernel: $release ($version) of $1"
				return 0
			fi
		done < <(in_root apt-cache search --names-only "^linux-headers-${series}[.].*-$FLAVOUR\$" |
			sed -n "s/^linux-headers-\([^ ]*-$FLAVOUR\) .*/\1/p" | sort -rV)
	done
	say "$1 offers no kernel of ($SERIES) with headers and source of one version"
	return 1
}
newest_version() { in_root apt-cache madison "$1" | awk 'NR == 1 { print $3 }'; }
has_version() { in_root apt-cache madison "$1" | awk -v v="$2" '$3 == v { f = 1 } END { exit !f }'; }

install_packages() {
	stamp_is packages "$(packages_key)" && return
	# A killed apt leaves half-configured packages.
	long "packages" in_root bash -euc '
		dpkg --configure -a
		apt-get -y -f install
		apt-get -y install "$@"
		# The guest has a static one, which this would replace; libraries are
		# preloaded into this.
		cd /opt
		apt-get download busybox
		dpkg -x busybox_*.deb busybox
		rm busybox_*.deb
		apt-get clean
		# The guest is powered off without an init system.
		ln -sf busybox /usr/bin/poweroff' bash "${PACKAGES[@]}"
	stamp packages "$(packages_key)"
}

# Unpacked, not installed: their post-install scripts want a boot loader.
fetch_kernel() {
	local release version series modules image new=$LAB/kernel/new
	stamp_is kernel "$(kernel_key)" && return
	read -r release version series <"$LAB/kernel/chosen"
	rm -rf "$new"
	mkdir -p "$new"
	long "kernel $release" in_root bash -euc '
		release=$1 version=$2 series=$3
		cd "$4"
		names=()
		for name in linux-{image,binary,modules,base,headers}-"$release" linux-source-"$series"; do
			if apt-cache madison "$name" | grep -qF " $version "; then
				names+=("$name=$version")
			fi
		done
		# What the headers stand on, named by them.
		apt-cache show "linux-headers-$release=$version" |
			grep -oE "gcc-[0-9]+" | sort -u >gcc
		for try in 1 2 3; do
			apt-get download "${names[@]}" && break || [[ $try != 3 ]]
		done
		for deb in *.deb; do
			dpkg -x "$deb" tree
			rm "$deb"
		done
		xargs -r apt-get -y install <gcc' bash "$release" "$version" "$series" "$new"
	modules=$(find "$new/tree" -type d -path "*lib/modules/$release" -print -quit)
	[[ -n $modules ]] || die "no modules in the packages of $release"
	# In /boot once, beside its modules now.
	image=$(find "$new/tree" -type f \( -name "vmlinuz-$release" -o -path "$modules/vmlinuz" \) -print -quit)
	[[ -n $image ]] || die "no vmlinuz in the packages of $release"
	cp "$image" "$new/vmlinuz"
	rm -f "$modules/build" "$modules/source"
	mkdir -p "$ROOT/usr/lib/modules"
	rm -rf "$ROOT/usr/lib/modules/$release"
	mv "$modules" "$ROOT/usr/lib/modules/"
	in_root depmod "$release"
	rm -rf "${LAB:?}/kernel/$release"
	mv "$new" "$LAB/kernel/$release"
	stamp kernel "$(kernel_key)"
}

# The headers package has no Rust metadata: remake it from the same source,
# configuration and compilers. What the symbols are called follows from those.
make_kdir() {
	local release version series dir
	stamp_is kdir "$(kdir_key)" && return
	read -r release version series <"$LAB/kernel/chosen"
	dir=$LAB/kernel/$release
	long "unpack linux-source-$series" in_root bash -euc '
		cd "$1"
		rm -rf source.new kdir
		mkdir source.new
		tar -C source.new --strip-components=1 -xf tree/usr/src/linux-source-*.tar.xz
		mv source.new kdir' bash "$dir"
	long "Rust metadata of $release" in_root bash -euc '
		release=$1
		headers=$2/tree/usr/src/linux-headers-$release
		cd "$2/kdir"
		cp "$headers/.config" .config
		cc=$(sed -n "s/^CONFIG_CC_VERSION_TEXT=\"\([^ ]*\) .*/\1/p" .config)
		rustc_built=$(sed -n "s/^CONFIG_RUSTC_VERSION_TEXT=\"\(rustc [^ ]*\).*/\1/p" .config)
		rustc_here=$(rustc --version | cut -d" " -f1,2)
		if [[ $rustc_built != "$rustc_here" ]]; then
			echo "the kernel was built by $rustc_built, the root has $rustc_here"
			exit 1
		fi
		command -v "$cc" >/dev/null || cc=gcc
		grep -q CONFIG_RUST=y .config || { echo "$release has no Rust"; exit 1; }
		make="make -j$(nproc) CC=$cc HOSTCC=$cc"
		$make olddefconfig
		grep -q CONFIG_RUST=y .config || { echo "Rust was lost in olddefconfig"; $make rustavailable; exit 1; }
		$make prepare modules_prepare
		echo "$release" >include/config/kernel.release
		echo "#define UTS_RELEASE \"$release\"" >include/generated/utsrelease.h
		cp "$headers/Module.symvers" .
		# One option less and structures have another layout.
		if ! diff <(grep ^CONFIG "$headers/.config") <(grep ^CONFIG .config); then
			echo "the configuration is not that of $release any more"
			exit 1
		fi
		' bash "$release" "$dir"
	ln -sfn "kernel/$release/kdir" "$LAB/kdir"
	ln -sfn "kernel/$release/vmlinuz" "$LAB/vmlinuz"
	echo "$release" >"$LAB/kernel/release"
	stamp kdir "$(kdir_key)"
}
