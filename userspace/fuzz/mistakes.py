#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes known mistakes in a copy of the module's pure code, one at a time, and
has each looked for: by the corpora that are checked in, or (--seconds) by a
fuzzer that begins with nothing. Runs in the build root; scripts/fuzz calls it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
OUT = os.path.join(os.environ["SYSLET_OUT"], "fuzz", "mistakes")
TREE = os.path.join(OUT, "tree")
CRATES = ["fuzz", "oracles", "pure"]

# Of each target: what is wrong, and in its file what is there and what instead.
MISTAKES = {
    "indices": [
        ("indices do not wrap", "tail.wrapping_sub(head)", "tail.saturating_sub(head)"),
        ("a lie makes room", ".min(entries)", "% (entries + 1)"),
        ("the last entry is not used", "entries - used(head, tail, entries)",
         "(entries - 1).saturating_sub(used(head, tail, entries))"),
        ("one entry too many", "entries - used(", "entries + 1 - used("),
    ],
    "policy": [
        ("FUTEX_LOCK_PI2", "6 | 7 | 8 | 11 | 13", "6 | 7 | 8 | 11"),
        ("flags of futexes", "low(1) & 127", "low(1) & !128"),
        ("upper half of a PID", "(low(1) == 0 &&", "(args[1] == 0 &&"),
        ("another flag of perf", "low(4) & 4 == 0", "low(4) & 8 == 0"),
        ("CPUCLOCK_SCHED", "0xffff_fffc..=0xffff_fffe", "0xffff_fffc..=0xffff_fffd"),
        ("F_SETDELEG", "1024 | 1026 | 1040", "1024 | 1026"),
        ("another ioctl", "low(1) == 0xae80", "low(1) == 0xae81"),
        ("numbers that alias", "(nr as usize) < TABLE_LEN", "(nr as usize & 0xffff) < TABLE_LEN"),
        ("epoll_pwait2", "(_, 441)", "(_, 440)"),
        ("io_pgetevents", "270 | 333", "270"),
        ("free with a rule", "matches!(entry.policy, Policy::Allow)",
         "matches!(entry.policy, Policy::Allow | Policy::Check(_))"),
    ],
    "program": [
        ("an atom's own result", "usize::from(from) > index)", "usize::from(from) > index + 1)"),
        ("a jump too far", "index + 1 + usize::from(atom.skip) > len", "index + usize::from(atom.skip) > len"),
        ("a jump without a condition", " || (skips && atom.flags & STOP_MASK == 0)", ""),
        ("the reserved field", " || atom.reserved != 0 {", " {"),
        ("the last argument, unchecked", "[a, b, c, d, e, f, atom.skip,", "[a, b, c, d, e, f & 0, atom.skip,"),
        ("the last argument, as it was", "[a, b, c, d, e, f, 0, 0]", "[a, b, c, d, e, f & 0, 0, 0]"),
        ("non-positive", "if result <= 0 {", "if result < 0 {"),
        ("a jump too short", "next += usize::from(atom.skip);", "next += usize::from(atom.skip) - 1;"),
        ("the limit of atoms", "n if n > limits.atoms =>", "n if n >= limits.atoms =>"),
        ("both flags", " || program.flags & both == both", ""),
        ("free whatever the rule", "if policy::is_free(abi, atom.nr) {",
         "if policy::is_free(abi, atom.nr) || policy::rule(abi, atom.nr) == Some(policy::Rule::Ioctl) {"),
    ],
    "uatom": [
        ("an earlier writer is forgotten", "link.previous = previous;", "link.previous = previous & 0;"),
        ("the sign of 32-bit results", "Abi::I386 => u64::from(result as u32)", "Abi::I386 => result as u64"),
        ("a jump without a condition",
         "flags & uapi::SKIP_ON_STOP != 0 && flags & program::STOP_MASK != 0", "flags & uapi::SKIP_ON_STOP != 0"),
        ("what is behind a NULL is read", "if arg_ptr == 0 {\n                break;\n            }\n            [*arg]",
         "if arg_ptr == 0 {\n                continue;\n            }\n            [*arg]"),
        ("one uatom too few", "self.len >= uapi::MAX_ATOMS", "self.len + 1 >= uapi::MAX_ATOMS"),
        ("upper halves of flags", "u32::try_from(flags).map_err(|_| Refusal::Invalid)?", "flags as u32"),
        ("upper halves of numbers", "u32::try_from(nr).map_err(|_| Refusal::UnknownCall)?", "nr as u32"),
        ("no completion for one", "atoms.iter().all(|atom|", "atoms.iter().any(|atom|"),
        ("next is what is behind", "next.is_some_and(|link| link.at == at)", "next.is_some()"),
        ("a loop to the first", "u64::from(before.first() == Some(&0))", "1u64"),
        ("not in order", "key(last) < address", "key(last) != address"),
        ("asynchronous and not", "if flags & BOTH == BOTH {", "if flags & BOTH > BOTH {"),
    ],
}


def make_tree():
    shutil.rmtree(TREE, ignore_errors=True)
    for name in ["rust", *(f"userspace/{crate}" for crate in CRATES)]:
        # As new: what was built last is a mistake.
        shutil.copytree(os.path.join(TOP, name), os.path.join(TREE, name), copy_function=shutil.copyfile)
    with open(os.path.join(TOP, "Cargo.toml"), encoding="utf-8") as file:
        members = ", ".join(f'"userspace/{crate}"' for crate in CRATES)
        text = re.sub(r"members = \[.*?\]", f"members = [{members}]", file.read(), count=1, flags=re.DOTALL)
    with open(os.path.join(TREE, "Cargo.toml"), "w", encoding="utf-8") as file:
        file.write(text)
    shutil.copy(os.path.join(TOP, "Cargo.lock"), TREE)


def make(target, was, becomes):
    """Makes a mistake, and returns what unmakes it."""
    path = os.path.join(TREE, "rust", target + ".rs")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(was) != 1:
        sys.exit(f"{path}: not once in it: {was}")

    def write(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    write(text.replace(was, becomes))
    return lambda: write(text)


def cargo(*args, flags=""):
    env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(OUT, "target"), RUSTFLAGS=flags,
               CARGO_PROFILE_DEV_DEBUG="0")
    command = ["cargo", *args, "--quiet", "--offline", "--package", "syslet-fuzz"]
    return subprocess.run(command, cwd=TREE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def replay(target):
    """What the corpus says about the copy: None if nothing."""
    if (built := cargo("test", "--lib", "--no-run")).returncode:
        sys.exit(built.stdout)
    ran = cargo("test", "--lib", f"corpora::{target}")
    if not re.search(r"^running 1 test$", ran.stdout, re.MULTILINE):
        sys.exit(ran.stdout)
    inputs = re.search(r"with .*/(\S+)", ran.stdout)
    return f"by {inputs[1]}" if ran.returncode else None


def fuzz(target, name, seconds):
    """The same of a fuzzer that begins with nothing."""
    triple = "x86_64-unknown-linux-gnu"
    built = cargo("build", "--bin", "fuzz-" + target, "--profile", "fuzz", "--target", triple,
                  flags=os.environ["SANCOV"])
    if built.returncode:
        sys.exit(built.stdout)
    program = os.path.join(OUT, "target", triple, "fuzz", "fuzz-" + target)
    artifact = os.path.join(OUT, "artifacts", target, re.sub(r"\W+", "-", name))
    os.makedirs(os.path.dirname(artifact), exist_ok=True)
    begun = time.monotonic()
    ran = subprocess.run(
        [program, f"-max_total_time={seconds}", "-seed=1", "-print_final_stats=1", "-timeout=30",
         f"-exact_artifact_path={artifact}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    took = time.monotonic() - begun
    count = re.search(r"stat::number_of_executed_units: *(\d+)", ran.stdout)
    if not ran.returncode:
        return None
    return f"after {count[1] if count else '?'} executions, {took:.1f} s: {artifact}"


def main():
    parser = argparse.ArgumentParser(description="Looks for known mistakes.")
    parser.add_argument("--seconds", type=int, help="fuzz that long for each, from nothing")
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(MISTAKES))
    args = parser.parse_args()

    make_tree()
    missed = 0
    for target in args.targets or MISTAKES:
        if right := replay(target):
            sys.exit(f"{target}: finds a mistake where none was made, {right}")
        for name, was, becomes in MISTAKES[target]:
            unmake = make(target, was, becomes)
            found = fuzz(target, name, args.seconds) if args.seconds else replay(target)
            unmake()
            missed += not found
            print(f"{target}: {name}: {'found ' + found if found else 'MISSED'}", flush=True)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
