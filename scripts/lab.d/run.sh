# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# The stock kernel with the root as its root, under virtme-ng.

# With these the emulator copies and clears byte by byte: everything takes twice
# as long, and counts as much.
CPU=max,-erms,-fsrm,-fsrs
# Seconds; 30 is what it takes on a machine with nothing else to do, and 90 the
# debug kernel.
BOOT=180 BOOT_CHECKED=540
# What udev would load in the guest for nobody.
UNUSED=ahci,i6300esb,kvm_amd,kvm_intel,evdev,button,serio_raw,aesni_intel

run_usage() {
	cat <<-END
		usage: scripts/lab run [OPTIONS] [--] COMMAND...

		Boots the kernel, loads the module, and runs COMMAND as root in this
		checkout (the same path in the guest; userspace's programs are in PATH).
		The status is COMMAND's; 125 if the kernel complained in its log or did not
		survive; 124 if the time was up (an NMI then makes it say where it hangs).

		  --timeout S    time limit in seconds (600)
		  --silence S    end it also when it prints nothing for so long
		  --cpus N       (2)
		  --memory M     (2G)
		  --cpu MODEL    ($CPU)
		  --append ARGS  arguments for the kernel
		  --module PATH  another module than $MODULE
		  --no-module    do not load it
		  --debug        the debug kernel, and the module built for it
		  --kcsan        that with KCSAN
		  --keep         keep the logs, and say where
	END
}
shell_usage() {
	cat <<-END
		usage: scripts/lab shell [--cpus N] [--memory M] [--append ARGS] [--no-module]

		A prompt in the guest, the module loaded. Ctrl-D ends it.
	END
}

# Options that every guest takes. Sets the variables and leaves the rest in
# args.
guest_options() {
	timeout=600 silence='' cpus=2 memory=2G cpu=$CPU boot=$BOOT append='' module=$MODULE keep='' icount='' kind='' files=() args=()
	while (($#)); do
		case $1 in
		--timeout | --silence | --cpus | --memory | --cpu | --append | --module | --file)
			(($# > 1)) || die "$cmd: $1 wants a value"
			case $1 in
			--file) files+=("$(realpath -- "$2")") ;;
			--module) module=$(realpath -- "$2") ;;
			*) printf -v "${1#--}" %s "$2" ;;
			esac
			shift
			;;
		--no-module) module='' ;;
		--debug | --kcsan)
			kind=${1#--}
			module=$(checked_module "$kind")
			;;
		--keep) keep=1 ;;
		--icount) icount=1 ;;
		-h | --help) "${cmd}_usage" && exit ;;
		--) shift && args=("$@") && break ;;
		-*) die "$cmd: unknown option $1 (see --help)" ;;
		*) args=("$@") && break ;;
		esac
		shift
	done
	set_up
	[[ -z $kind ]] || set_up_checked "$kind"
	[[ -z $module || -r $module ]] || build_main "${kind:-module}"
	release=$(<"$LAB/kernel/release")
	vmlinuz=$LAB/vmlinuz
	if [[ -n $kind ]]; then
		# With five levels of page tables KASAN takes its own shadow for wild in the emulator.
		cpu=$cpu,-la57 boot=$BOOT_CHECKED
		vmlinuz=$(checked_source "$kind")/arch/x86/boot/bzImage
		release=$vmlinuz
	fi
	# A loaded machine is not a stuck guest.
	append="log_buf_len=4M unknown_nmi_panic panic_sys_info=all_bt,blocked_tasks watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=60${append:+ $append}"
}

# quote WORD...: for any shell.
quote() {
	local word space=
	for word; do
		printf "%s'%s'" "$space" "${word//\'/\'\\\'\'}"
		space=' '
	done
}

# new_job [REPORT]: a directory for one guest, with what guest.sh reads.
new_job() {
	local name
	mkdir -p "$OUT/runs"
	# Those of labs that were killed.
	find "$OUT/runs" -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {} +
	run=$(mktemp -d "$OUT/runs/XXXXXX")
	{
		printf 'module=%s\ncwd=%s\nreport=%s\n' "$(quote "$module")" "$(quote "$SRC")" \
			"$(quote "${1:-$run/report}")"
		printf 'export PATH=%s:"$PATH" SYSLET_OUT=%s SYSLET_MODULE=%s\n' \
			"$(quote "$TARGET/release")" "$(quote "$OUT")" "$(quote "$module")"
		for name in "${told[@]}"; do
			[[ -z ${!name-} ]] || printf 'export %s=%s\n' "$name" "$(quote "${!name}")"
		done
		printf 'job() { %s; }\n' "$(quote "${args[@]}")"
	} >"$run/job"
	cp "$here/lab.d/guest.sh" "$here/lab.d/dirt" "$run/"
}

# guest COMMAND...: run the emulator; again where the guest does not come up, as
# happens on a busy machine: its file server may come too late, or a CPU of its
# hang as it boots. Nothing of the job has run by then.
guest() {
	local try begun
	for try in 1 2 3; do
		begun=$SECONDS
		emulate "$@"
		[[ ! -s $run/report ]] && ((SECONDS - begun < timeout)) || return 0
		say "${too_long:-the guest ended before it was up} (try $try of 3); its console:"
		show_log "$run/console" 60
	done
}

# emulate COMMAND...: in the background so that a signal is heard at once; all
# its processes die with it. What it prints goes through pipes, because it opens
# its own descriptors again by name. Sets too_long if it had to be ended, counted
# from begun.
emulate() {
	local last
	too_long=''
	truncate -s 0 "$run"/{out,report,console}
	set -m
	(
		set +m
		{ { in_root "$@" 2>&3 | tee "$run/out" >&4; } 3>&1 | cat >&2; } 4>&1
	) </dev/null &
	job=$!
	set +m
	while kill -0 "$job" 2>/dev/null; do
		sleep 0.2
		last=$(stat -c %Y "$run/out" "$run/report" | sort -n | tail -n 1)
		if ((SECONDS - begun >= timeout)); then
			too_long="time is up ($timeout s)"
		elif [[ ! -s $run/report ]] && ((SECONDS - begun >= boot)); then
			too_long="the guest is not up after $boot s"
		elif [[ -n $silence && -s $run/report ]] && (($(date +%s) - last >= silence)); then
			too_long="no word from the guest for $silence s"
		else
			continue
		fi
		nmi || true
		end_job
	done
	[[ -z $job ]] || wait "$job" || true
	job=
}

# Panics the guest, for the console to say what hung.
nmi() {
	in_root timeout 5 python3 -c '
import socket, sys, time
monitor = socket.socket(socket.AF_UNIX)
monitor.connect(sys.argv[1])
monitor.sendall(b"nmi\n")
time.sleep(3)' "$run/monitor" 2>/dev/null
}

# judge: from the guest's report, and nothing else.
judge() {
	local status=125 report
	report=$(tr -d '\r' 2>/dev/null <"$run/report") || report=
	if [[ $report =~ (^|$'\n')status\ ([0-9]+)$ ]]; then
		status=${BASH_REMATCH[2]}
		if [[ $report == *dirt\ * ]]; then
			say "the kernel complained:"
			show_log "$run/dmesg" 60
			[[ $status != 0 ]] || status=125
		fi
	elif [[ -n $too_long ]]; then
		say "$too_long; what the console's log says:"
		show_log "$run/console" 400
		status=124
	else
		say "the guest ended without a report; what the console's log says:"
		show_log "$run/console" 100
	fi
	if [[ -n $keep ]]; then
		say "kept: $run"
	else
		rm -rf "$run"
	fi
	return "$status"
}

# show_log LOG LINES: the first complaint and what follows it, or the end.
show_log() {
	local log=$1
	[[ -s $log ]] || log=$run/console
	grep -E -m 1 -B 3 -A "$2" -f "$here/lab.d/dirt" "$log" >&2 || tail -n 60 "$log" >&2
}

# The checkout and the cache are written through; the rest of the root is
# covered.
vng() {
	local dir word opts=()
	for dir in /etc /usr /var /opt /srv /mnt /root /home; do
		[[ $SRC/ == $dir/* || $LAB/ == $dir/* ]] || opts+=(--overlay-rwdir "$dir")
	done
	# The file server writes to the guest's memory behind the emulator's back, which
	# would go on with its translation of what was in a page before: the guest has
	# to clear each first, as the stock kernel does anyway.
	for word in init_on_alloc=1 "modprobe.blacklist=$UNUSED" $append; do
		opts+=(--append "$word")
	done
	guest_command=(vng --disable-kvm --run "$release" --rw "${opts[@]}"
		--cpus "$cpus" --memory "$memory")
}

# The guest's /tmp is its own, where nothing is shared beneath it.
own_tmp() { [[ $SRC/ == /tmp/* || $LAB/ == /tmp/* ]] || echo 'mount -t tmpfs tmpfs /tmp; '; }

run_main() {
	guest_options "$@"
	((${#args[@]})) || die "run: no command (see --help)"
	[[ -z $icount && ${#files[@]} == 0 ]] || die "run: --icount and --file are for fast"
	new_job ""
	append="loglevel=7 $append"
	vng
	guest "${guest_command[@]}" \
		--qemu-opts="-cpu $cpu -set chardev.console.path=$run/console -monitor unix:$run/monitor,server,nowait" \
		--exec "$(own_tmp)sh $(quote "$run/guest.sh" "$run")"
	judge
}

shell_main() {
	guest_options "$@"
	args=(true)
	new_job ""
	cat >"$run/rc" <<-END
		. $(quote "$run/job")
		[[ -z \$module ]] || insmod "\$module"
		cd "\$cwd"
		PS1='(guest) \w\\$ '
	END
	cat >"$ROOT/root/.bashrc" <<-'END'
		[[ ! -r ${lab_rc-} ]] || . "$lab_rc"
	END
	append="lab_rc=$run/rc $append"
	vng
	in_root "${guest_command[@]}" --qemu-opts="-cpu $cpu"
	rm -rf "$run"
}
