#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# In the guest, as root: load the module, run the job, judge, report. The
# report is "up", a line "dirt LINE" for each bad line of the kernel's log and
# then, last, "status N": without that the guest did not live to tell.
set -u
dir=$1
module='' cwd=/ report=/dev/null
# shellcheck source=/dev/null
. "$dir/job" # sets these, and job()

exec 3>"$report"
echo up >&3
status=0
if [ -n "$module" ]; then
	insmod "$module" || {
		status=125
		echo "lab: the module does not load:" >&2
		dmesg | tail -n 20 >&2
	}
fi
if [ $status = 0 ]; then
	(cd "$cwd" && job) </dev/null 3>&-
	status=$?
fi
dmesg >"$dir/dmesg"
{
	grep -E -f "$dir/dirt" "$dir/dmesg" | sed 's/^/dirt /'
	echo "status $status"
} >&3
