# SPDX-License-Identifier: GPL-2.0
"""What run-unmodified runs: a distribution's tools, in small shell scripts.

A script runs in a directory with `data` (256 KB), `numbers` and `tree/`. What it
prints may depend on nothing but that.
"""

import dataclasses
import os
import random
import re
import shutil
import subprocess
import typing

ONCE, LEFT, OFTEN = "once", "left", "often"


def as_it_is(text):
    return text


@dataclasses.dataclass
class Case:
    name: str
    script: str
    seconds: int = 90
    ways: tuple = (ONCE, LEFT, OFTEN)
    every: int = 7
    needs: tuple = ()
    clean: typing.Callable = as_it_is
    # What looks at a difference again, where time may have made it.
    again: typing.Callable = None

    def missing(self):
        """Why the case cannot be run here, or nothing."""
        for need in self.needs:
            if not (os.access(need, os.X_OK) if "/" in need else shutil.which(need)):
                return f"there is no {need}"
        if self.name.startswith("busybox/"):
            linked = subprocess.run(["ldd", find_busybox()], check=False, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
            if "=>" not in linked:
                return "busybox is static, so nothing can be preloaded"
        return None


def make_data(top):
    """The same files every time."""
    numbers = random.Random(1)
    os.makedirs(os.path.join(top, "tree"))
    with open(os.path.join(top, "data"), "wb") as file:
        file.write(numbers.randbytes(256 << 10))
    with open(os.path.join(top, "numbers"), "w", encoding="utf-8") as file:
        file.writelines(f"{numbers.randrange(100000)}\n" for _ in range(4000))
    for i in range(6):
        sub = os.path.join(top, "tree", f"sub {i}", "deeper")
        os.makedirs(sub)
        for j in range(4):
            path = os.path.join(sub if j % 2 else os.path.dirname(sub), f"file-{j}")
            with open(path, "wb") as file:
                file.write(numbers.randbytes(numbers.randrange(5000)))
            os.chmod(path, 0o640 + j)
        os.symlink("../file-0", os.path.join(sub, "link"))
        os.link(os.path.join(sub, "file-1"), os.path.join(sub, "second-name"))


def find_busybox():
    """One that is not static, where the lab has unpacked it."""
    own = "/opt/busybox/usr/bin/busybox"
    return own if os.access(own, os.X_OK) else shutil.which("busybox") or "busybox"


TOOLS = [
    Case("tools/sort", """
        sort -n numbers | uniq -c | tail -n 3
        sort -S 64k --parallel=2 numbers numbers | cksum
        sort -c numbers; echo $?"""),
    Case("tools/digests", "sha256sum data; md5sum data; b2sum data; cksum data; base64 data | cksum"),
    Case("tools/dd", """
        dd if=data bs=1000 2>/dev/null | dd of=copy obs=7777 2>/dev/null; cmp data copy && echo same
        dd if=data of=synced bs=4096 conv=fsync status=none; cmp data synced && echo same
        dd if=data bs=16 count=20 skip=3 status=none | od -An -tx1"""),
    Case("tools/cp", """
        cp -a tree copy; diff -r tree copy && echo same
        find copy -printf '%P %m %y %n %l\\n' | sort
        cp tree nowhere 2>&1; echo $?"""),
    Case("tools/find", """
        find tree -type f -size +2k -exec wc -c {} + | sort
        find tree -name 'file-[12]' -execdir sh -c 'cksum <$1' sh {} ';' | sort
        find tree -depth -delete; ls"""),
    Case("tools/tar", """
        tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - tree | cksum
        mkdir out; tar -cf - tree | tar -xf - -C out; diff -r tree out/tree && echo same
        tar -czf tree.tgz tree; tar -tzf tree.tgz | sort"""),
    Case("tools/xargs", """
        find tree -type f -print0 | sort -z | xargs -0 -P 4 -n 3 cksum | sort
        seq 9 | xargs -P 3 -I@ sh -c 'exit $((@ == 5))'; echo $?"""),
    Case("tools/pipelines", """
        seq 3000 | tr 1 2 | grep 3 | cut -c1-3 | uniq -c | sort -rn | tail -n 2
        seq 1000000 | head -n 2
        yes | sed 5q | cat -n | tac
        i=0; while [ $i -lt 10 ]; do echo $i | cat | cat; i=$((i + 1)); done"""),
    Case("tools/sigpipe", "seq 1000000 | head -n 1; echo ${PIPESTATUS[@]}".join(
        ["bash -c '", "'"]), needs=("bash",)),
    Case("tools/timeout", """
        timeout 1 sleep 60; echo $?
        timeout -s KILL 1 sleep 60; echo $?
        timeout 60 sh -c 'exit 7'; echo $?
        timeout --foreground 1 cat /dev/zero >/dev/null; echo $?
        timeout -k 1 1 sh -c 'trap "" TERM; while :; do :; done'; echo $?"""),
    Case("tools/nohup", """
        nohup sh -c 'kill -HUP $$; echo alive' </dev/null 2>/dev/null; echo $?
        sh -c 'kill -HUP $$; echo alive'; echo $?"""),
    Case("tools/env", """
        env -i LD_PRELOAD="$LD_PRELOAD" A=1 B=2 env | grep '^[AB]='
        env A=3 sh -c 'echo $A'; env -C tree pwd | sed 's,.*/,,'; env nothing-like-it 2>&1; echo $?
        nice -n 5 nice; setsid sh -c 'echo new session'; stdbuf -o0 echo unbuffered"""),
    Case("tools/signals", """
        exec 2>/dev/null # whether sh tells of a death is up to time
        sleep 60 & kill $!; wait $!; echo $?
        sh -c 'trap "echo caught" USR1; kill -USR1 $$; echo on'
        sh -c 'trap "echo bye" EXIT; exit 3'; echo $?
        sh -c 'kill -SEGV $$'; echo $?
        (trap 'echo child is gone; exit' CHLD; sleep 0.1 & wait; wait); echo $?"""),
    Case("tools/job-control", """
        exec bash -c '
        set -m
        sleep 60 & kill -STOP %1; while ! jobs | grep -q Stopped; do sleep 0.1; done; jobs
        kill -CONT %1; jobs -r | wc -l; kill %1; wait %1; echo $?
        (exit 3) & wait $!; echo $?' 2>/dev/null""", needs=("bash",)),
    Case("tools/fifo", """
        mkfifo a b
        cat a >b & sed 's/x/y/' b & for i in 1 2 3; do echo x$i; done >a; wait; echo $?"""),
    Case("tools/wait", """
        for i in 1 2 3; do (sleep 0.$i; exit $i) & pids="$pids $!"; done
        for pid in $pids; do wait $pid; echo $?; done"""),
    Case("tools/exec", """
        sh -c 'echo $$ >a; exec sh -c "echo \\$\\$ >b; exec sh -c \\"echo \\\\\\$\\\\\\$ >c\\""'
        cmp a b && cmp b c && echo the same process"""),
    Case("tools/tail-follow", """
        (for i in 1 2 3 4; do echo $i; sleep 0.1; done >log) & tail -s 0.1 -f --pid=$! log; wait""",
         ways=(ONCE, LEFT)),
    Case("tools/threads", """
        zstd -q -T2 data; zstd -qdc data.zst | cmp - data && echo same
        xz -k -T2 --block-size=64KiB data; xz -dc data.xz | cmp - data && echo same""",
         needs=("zstd", "xz")),
    Case("tools/flock", """
        for i in 1 2 3 4; do flock lock sh -c 'read n <count || n=0; echo $((n + 1)) >count' & done
        wait; cat count""", needs=("flock",)),
    Case("tools/perl", """
        perl -e '
        $SIG{ALRM} = sub { print "alarm\\n" }; $SIG{CHLD} = sub { $gone++ };
        pipe(R, W); $| = 1;
        if (!($pid = fork)) { close R; print W "from the child of $_[0]\\n"; exit 4 }
        close W; print <R>; waitpid($pid, 0); print $? >> 8, "\\n";
        print kill(0, $$), getppid() == `echo \\$PPID` ? " no" : " yes", "\\n";
        alarm 1; select(undef, undef, undef, 5); print "gone $gone\\n";
        open(P, "-|", "sort -n numbers | head -n 3"); print <P>; close P; print "$?\\n"'""",
         needs=("perl",)),
    Case("tools/make", """
        printf 'all: 1 2 3 4 5\\n%%: ; @sleep 0.$@; expr $@ \\\\* 7 >$@\\n' >Makefile
        make -s -j3; cat 1 2 3 4 5; printf 'x: ; false\\n' >Fails; make -f Fails 2>&1; echo $?""",
         needs=("make",)),
    Case("tools/ulimit", """
        sh -c 'ulimit -n 40; cat numbers | cksum'; sh -c 'ulimit -v 4000000; sort numbers | cksum'
        bash -c 'ulimit -f 1; exec cat data >big' 2>/dev/null; echo $?; wc -c <big""",
         needs=("bash",)),
    Case("tools/identity", """
        setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'id -u; id -g; cat numbers | cksum'
        setpriv --no-new-privs sh -c 'grep NoNewPrivs /proc/self/status'
        unshare -m sh -c 'mount -t tmpfs none tree; ls tree | wc -l'; ls tree | wc -l
        unshare -p -f sh -c 'echo $$; sleep 0.1; cat numbers | cksum'""", needs=("setpriv", "unshare")),
    Case("tools/alone", """
        unshare -r id -u
        ls /proc/self/task | wc -l; ls /proc/self/fd | wc -l; ls -l /proc/self/fd | grep -c syslet
        sh -c 'cut -d" " -f1 </proc/$$/stat | grep -cx $$'""", ways=(ONCE,), needs=("unshare",)),
    Case("tools/terminal", """
        script -qec 'tty | cut -c1-9; stty size; sh -c "kill -INT \\$\\$"; echo $?' /dev/null""",
         needs=("script",)),
    Case("tools/git", """
        export GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' GIT_AUTHOR_NAME=a \
            GIT_COMMITTER_NAME=a EMAIL=a@example.org
        git init -q -b main . && git add -A && git commit -q -m one && git log --format=%H
        git repack -q -a -d --threads=2; git fsck 2>/dev/null; git archive HEAD tree | cksum""",
         seconds=240, needs=("git",)),
    Case("tools/gcc", """
        printf '#include <stdio.h>\\nint main(void) { return printf("hello\\\\n") != 6; }\\n' >a.c
        gcc -O1 -pipe -o a a.c && ./a; echo $?""", seconds=240, needs=("gcc",)),
    Case("tools/python", """
        python3 -W ignore::DeprecationWarning -c '
import os, queue, signal, subprocess, threading
q = queue.Queue()
threads = [threading.Thread(target=lambda n=n: q.put(n * n)) for n in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(q.get() for _ in threads), threading.get_native_id() == os.getpid())
signal.signal(signal.SIGUSR1, lambda *a: print("signal", a[0] == signal.SIGUSR1))
os.kill(os.getpid(), signal.SIGUSR1)
print(subprocess.run(["sort", "-n"], input="3\\n1\\n2\\n", text=True, stdout=-1).stdout.split())
pid = os.fork()
if not pid: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))'"""),
]

# A tracer comes and goes while a program sleeps.
TRACED = """
    mkfifo in; cat in >out & pid=$!; exec 3>in
    # The fifo has this name no more.
    say() { echo $1 >&3; until grep -qx $1 out; do sleep 0.1; done; }
    say one
    %s
    say four; exec 3>&-; wait $pid; echo $?; cat out"""

TRACERS = [
    Case("tracers/strace", TRACED % """
        env -u LD_PRELOAD strace -f -qq -e trace=write -o trace -p $pid & tracer=$!
        until grep -q 'TracerPid:.*[1-9]' /proc/$pid/status; do sleep 0.1; done
        say two; kill -INT $tracer; wait $tracer
        until grep -q 'TracerPid:.*\\<0$' /proc/$pid/status; do sleep 0.1; done
        say three; grep -c 'write(1, "two' trace; grep -c 'three' trace""",
         seconds=120, needs=("strace",)),
    Case("tracers/strace-from-the-start", """
        env -u LD_PRELOAD strace -f -qq -E LD_PRELOAD="$LD_PRELOAD" -e trace=none -o trace \
            sh -c 'sort -n numbers | tail -n 1; sleep 60 & kill $!; wait; exit 6'; echo $?; cat trace |
            sed 's/^[0-9 ]*//' | sort""", ways=(ONCE, OFTEN), seconds=120, needs=("strace",),
         clean=lambda text: re.sub(r"si_([us]time|pid)=\d+( /\*.*?\*/)?", "", text)),
    Case("tracers/gdb", TRACED % """
        env -u LD_PRELOAD gdb -nx -q -batch -iex 'set debuginfod enabled off' -p $pid \
            -ex 'printf "pid %%d\\n", (int)getpid()' -ex 'call (long)write(1, "two\\n", 4)' \
            -ex detach >trace 2>/dev/null </dev/null
        grep -cx "pid $pid" trace; grep -o '[$][0-9]* = 4' trace; say three""",
         seconds=240, needs=("gdb",)),
    Case("tracers/stops", TRACED % """
        kill -STOP $pid; until grep -q 'State:.*T' /proc/$pid/status; do sleep 0.1; done
        echo two >&3; sleep 0.3; cat out; kill -CONT $pid; say three"""),
]

BUSYBOX = [
    Case("busybox/applets", f"""
        alias b={find_busybox()}
        b sort -n numbers | b tail -n 2; b sha256sum data; b find tree -type f | b sort | b md5sum
        b dd if=data of=copy bs=777 2>/dev/null; b cmp data copy; b tar -cf - tree | b tar -t | b sort
        b seq 1000 | b awk '{{ s += $1 }} END {{ print s }}'; b timeout 1 b sleep 30; echo $?
        b find tree -type f | b xargs -n 4 {find_busybox()} cksum | b sort""", seconds=120),
    Case("busybox/ash", f"""
        {find_busybox()} ash -c '
        sleep 60 & kill $!; wait $!; echo $?; trap "echo caught" USR1; kill -USR1 $$
        seq 50 | while read i; do echo $((i * i)); done | tail -n 1; exec sh -c "exit 5"' 2>/dev/null; echo $?"""),
]

CASES = TOOLS + TRACERS + BUSYBOX

# Of a check that many others share their time with.
SHORT = {
    ("tools/sort", OFTEN), ("tools/digests", LEFT), ("tools/cp", OFTEN), ("tools/tar", OFTEN),
    ("tools/xargs", OFTEN), ("tools/pipelines", OFTEN), ("tools/timeout", LEFT),
    ("tools/signals", OFTEN), ("tools/exec", OFTEN), ("tools/threads", OFTEN),
    ("tools/identity", LEFT), ("tools/alone", ONCE), ("tools/python", OFTEN),
    ("tracers/strace", LEFT), ("tracers/stops", LEFT),
    ("stress-ng/futex", OFTEN), ("stress-ng/fork", LEFT),
    ("kselftest/futex/functional/futex_wait", OFTEN),
    ("kselftest/signal/sas", ONCE), ("kselftest/clone3/clone3", OFTEN),
    ("kselftest/membarrier/membarrier_test_single_thread", OFTEN),
    ("kselftest/rseq/basic_test", OFTEN), ("busybox/applets", LEFT), ("busybox/ash", OFTEN),
}
