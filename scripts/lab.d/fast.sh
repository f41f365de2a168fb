# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# The stock kernel on a bare initramfs: seconds to boot, nothing in it but
# busybox, the module and what was asked for.

fast_usage() {
	cat <<-END
		usage: scripts/lab fast [OPTIONS] [--] COMMAND...

		Boots the kernel on an initramfs with busybox, loads the module, and runs
		COMMAND as root. COMMAND's program and the files given are at the paths
		that they have here, with the libraries that they need. Nothing is written
		through: what COMMAND prints is all that is left. The status is as in run.

		  --file PATH    a file or directory to take along (may be repeated)
		  --icount       time counts instructions: one thread, one CPU, every run
		                 alike
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

fast_main() {
	guest_options "$@"
	((${#args[@]})) || die "fast: no command (see --help)"
	local accel=(-accel "tcg,thread=multi" -smp "$cpus") path module_here=$module
	if [[ -n $icount ]]; then
		accel=(-accel "tcg,thread=single" -icount "shift=0,sleep=off" -smp 1)
	fi
	path=${args[0]}
	[[ $path == */* || ! -x $TARGET/release/$path ]] || path=$TARGET/release/$path
	[[ $path != */* || ! -f $path ]] || files+=("$(realpath -- "$path")")

	module=${module:+/lab/${module##*/}}
	new_job /dev/report
	mkdir -p "$run"/tree/{bin,dev,etc,lab,proc,root,run,sys,tmp} "$run/tree$SRC"
	for path in "${files[@]}"; do
		cp -RL --parents "$path" "$run/tree"
	done
	cp "$run"/{job,guest.sh,dirt} ${module_here:+"$module_here"} "$run/tree/lab"
	cp "$here/lab.d/init" "$run/tree/init"
	in_root bash -euc '
		cd "$1"
		cp /usr/bin/busybox tree/bin/
		find tree -path tree/bin -prune -o -type f -perm /111 -print |
			while read -r file; do
				# Scripts and static programs need none.
				{ ldd "$file" 2>/dev/null || true; } |
					grep -oE "/[^ ]+" | grep -v ":\$" || true
			done | sort -u | xargs -r cp -L --parents -t tree
		cd tree
		find . | cpio --quiet -o -H newc -R 0:0 >../initramfs' bash "$run"
	guest qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
		-machine q35 -cpu "$cpu" -m "$memory" "${accel[@]}" \
		-kernel "$vmlinuz" -initrd "$run/initramfs" \
		-append "console=ttyS0 loglevel=5 panic=-1 $append" \
		-chardev "file,id=console,path=$run/console" -serial chardev:console \
		-monitor "unix:$run/monitor,server,nowait" \
		-device virtio-serial-pci \
		-chardev file,id=out,path=/proc/self/fd/1 \
		-device virtserialport,chardev=out,name=out \
		-chardev file,id=err,path=/proc/self/fd/2 \
		-device virtserialport,chardev=err,name=err \
		-chardev "file,id=report,path=$run/report" \
		-device virtserialport,chardev=report,name=report
	judge
}
