// SPDX-License-Identifier: GPL-2.0

//! What `/proc/PID/fdinfo/FD` shows of a head.

use kernel::seq_file::SeqFile;
use kernel::seq_print;

use crate::head::Head;
use crate::stats::Fallback;

/// Shows the state of a head, a value a line.
pub fn show(head: &Head, m: &SeqFile) {
    let Some(established) = head.peek() else {
        seq_print!(m, "syslet-setup:\t0\n");
        return;
    };
    let ring = &established.ring;
    let stats = &head.stats;

    seq_print!(m, "syslet-setup:\t1\n");
    seq_print!(m, "syslet-cq-entries:\t{}\n", ring.entries());
    seq_print!(m, "syslet-cq-kept:\t{}\n", ring.kept());
    seq_print!(m, "syslet-calls:\t{}\n", stats.calls.get());
    seq_print!(m, "syslet-programs:\t{}\n", stats.programs.get());
    seq_print!(m, "syslet-handoffs:\t{}\n", stats.handoffs.get());
    seq_print!(m, "syslet-forks:\t{}\n", stats.forks.get());
    let census = established.pool.census();
    seq_print!(m, "syslet-threads:\t{}\n", census.all);
    seq_print!(m, "syslet-threads-idle:\t{}\n", census.idle);
    seq_print!(m, "syslet-threads-blocked:\t{}\n", census.blocked);
    seq_print!(m, "syslet-in-flight:\t{}\n", census.busy);
    for (reason, name) in Fallback::ALL {
        seq_print!(
            m,
            "syslet-fallback-{}:\t{}\n",
            name,
            stats.fallbacks(reason)
        );
    }
    seq_print!(m, "syslet-completions:\t{}\n", stats.completions.get());
}
