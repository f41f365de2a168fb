# SPDX-License-Identifier: GPL-2.0
"""What run-unmodified runs besides: the test suites of others.

Each test in them is a line of what is compared. Tests that look at the clock
may differ on a loaded machine: what differs is run again, with the preload and
without, and counts only if it never was the same.
"""

import glob
import importlib.util
import os
import re

from cases import LEFT, OFTEN, ONCE, Case

RUNS = 3


def lines_of(case, result):
    return set(case.clean(result.out).splitlines()) | {f"status {result.status}"}


def look_again(case):
    """What looks at a difference again; returns what has always been different."""
    def again(guest, plain, moved, way):
        known = lines_of(case, plain)
        strange = lines_of(case, moved) - known
        for _ in range(RUNS - 1):
            strange &= lines_of(case, guest.run(case.script, case.seconds, way, case.every))
            known |= lines_of(case, guest.run(case.script, case.seconds)) if strange else set()
            strange -= known
            if not strange:
                break
        return [f"only with the preload: {line}" for line in sorted(strange)]
    return again


def suite(name, script, clean, **more):
    case = Case(name, script, clean=clean, **more)
    case.again = look_again(case)
    return case


# Modules of Python's own test suite, and those of their tests that see what is meant to be seen:
# Python warns who forks while the process has more threads, and counts cachemiss threads, too.
PYTHON = {
    "test_threading": ("test_main_thread_after_fork", "test_native_id_after_fork"),
    "test_thread": (), "test_signal": (), "test_subprocess": (),
    "test_posix": (), "test_select": (), "test_poll": (), "test_selectors": (), "test_socket": (),
    "test_fork1": (), "test_wait3": (), "test_wait4": (), "test_pty": (), "test_fcntl": (),
    "test_queue": (), "test_thread_local_bytecode": (), "test_threading_local": (),
    "test_threadsignals": (), "test_eintr": (), "test_epoll": (), "test_popen": (),
}

PYTHON_SCRIPT = """
python3 -m test -u none -v {words} --timeout 600 --junit-xml results.xml {module} >log 2>&1 </dev/null
status=$?
env -u LD_PRELOAD python3 -c '
import xml.etree.ElementTree as tree
for case in tree.parse("results.xml").iter("testcase"):
    kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
    print(case.get("name"), *kinds or ["passed"])'
exit $status"""


def python_cases():
    for module, left_out in PYTHON.items():
        if not importlib.util.find_spec(f"test.{module}"):
            yield Missing(f"python/{module}", f"there is no test.{module}")
            continue
        words = " ".join(f"-i {pattern}" for pattern in left_out)
        yield suite(f"python/{module}", PYTHON_SCRIPT.format(words=words, module=module),
                    clean=str, seconds=1800, ways=(ONCE, LEFT, OFTEN), every=40)


class Missing(Case):
    """A case that is not there."""

    def __init__(self, name, reason):
        super().__init__(name, "", ways=(ONCE,))
        self.reason = reason

    def missing(self):
        return self.reason


# Stressors, and how many of their operations are enough to see.
STRESSORS = {
    "futex": 2000, "pthread": 400, "mutex": 2000, "sem": 2000, "fork": 100, "vfork": 100,
    "clone": 60, "exec": 30, "kill": 2000, "sigq": 1000, "sigfd": 1000, "sigsuspend": 300,
    "sigpending": 1000, "signest": 300, "sigsegv": 1000, "sigtrap": 300, "poll": 200,
    "pipe": 2000, "eventfd": 1000, "epoll": 200, "timer": 2000, "itimer": 500, "nanosleep": 100,
    "wait": 50, "zombie": 100, "switch": 2000, "yield": 2000, "membarrier": 200, "rseq": 2000,
    "robust-mutex": 100, "dup": 200, "sockpair": 500, "mq": 500, "daemon": 50, "prio-inv": 1,
    "tee": 200, "fifo": 500, "nice": 20, "affinity": 200, "cpu-sched": 50, "access": 100,
}


def verdicts_of_stress(text):
    """Its lines of what passed and failed, without times and process IDs."""
    found = []
    for line in text.splitlines():
        if match := re.match(r"stress-ng: (\w+): \[\d+\] (passed|failed|skipped): *(\d+)", line):
            found.append(f"{match[2]} {match[3]}")
        elif match := re.match(r"stress-ng: (fail|error): *\[\d+\] (.*)", line):
            found.append(f"{match[1]}: {match[2]}")
    return "\n".join(found)


def stress_cases():
    for name, operations in STRESSORS.items():
        yield suite(f"stress-ng/{name}", f"""
            stress-ng --{name} 2 --{name}-ops {operations} --verify --timeout 20 --oom-avoid \\
                --temp-path . 2>&1""", clean=verdicts_of_stress, seconds=120, ways=(ONCE, LEFT, OFTEN), every=20,
                    needs=("stress-ng",))


def verdicts_of_tap(text):
    """Its verdicts, without numbers, which skipped tests shift, and addresses."""
    found = []
    for line in text.splitlines():
        if match := re.match(r"\s*(not )?ok \d+\s*-?\s*(.*)", line):
            name = re.sub(r"0x[0-9a-f]+|\d{2,}", "N", match[2])
            found.append(f"{'not ok' if match[1] else 'ok'} {name}")
    return "\n".join(found)


# Not to be run by themselves, or for hours, or on a machine of one's own.
NO_TESTS = re.compile(r"/(pidfd_exec_helper|seccomp_benchmark|param_test_.*|check_optimized|"
                      r"sync_test|param_test|basic_percpu_ops_.*|legacy_check|futex_numa.*)$")

# Not to be moved often: a filter in force would refuse, or count, the calls that moves are made of;
# some want no other thread, or a namespace's first PIDs; one would go on for hours.
STAY = re.compile(r"/(seccomp_bpf|clone3_set_tid|pidfd_file_handle_test|pidfd_setns_test|"
                  r"pidfd_test)$")


def kernel_cases(out):
    top = os.path.join(out, "kselftests")
    found = False
    for path in sorted(glob.glob(os.path.join(top, "**"), recursive=True)):
        if not os.path.isfile(path) or not os.access(path, os.X_OK) or path.endswith(".so") or \
                NO_TESTS.search(path):
            continue
        found = True
        ways = (ONCE, LEFT) if STAY.search(path) else (ONCE, LEFT, OFTEN)
        yield suite(f"kselftest/{os.path.relpath(path, top)}", f"cd {os.path.dirname(path)}; {path} 2>&1",
                    clean=verdicts_of_tap, seconds=180, ways=ways, every=5)
    if not found:
        yield Missing("kselftest", f"there is nothing in {top} (make kselftests)")


def cases(out):
    """All suites that are there."""
    return [*stress_cases(), *kernel_cases(out), *python_cases()]
