/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints of syslets; trace.rs is where they are hit from. */

#undef TRACE_SYSTEM
#define TRACE_SYSTEM syslet

#if !defined(_SYSLET_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SYSLET_TRACE_H

#include <linux/tracepoint.h>

/* EXEC has copied and checked its programs; none has run. */
TRACE_EVENT(syslet_submit,
	TP_PROTO(u32 nr_programs, u32 flags),
	TP_ARGS(nr_programs, flags),
	TP_STRUCT__entry(
		__field(u32, nr_programs)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->nr_programs = nr_programs;
		__entry->flags = flags;
	),
	TP_printk("programs=%u flags=0x%x", __entry->nr_programs, __entry->flags)
);

/* The current task is about to sleep in an atom of a program that may leave it. */
TRACE_EVENT(syslet_block,
	TP_PROTO(u64 user_data, u32 atom, bool leaves),
	TP_ARGS(user_data, atom, leaves),
	TP_STRUCT__entry(
		__field(u64, user_data)
		__field(u32, atom)
		__field(bool, leaves)
	),
	TP_fast_assign(
		__entry->user_data = user_data;
		__entry->atom = atom;
		__entry->leaves = leaves;
	),
	TP_printk("user_data=0x%llx atom=%u leaves=%d", __entry->user_data,
		  __entry->atom, __entry->leaves)
);

/* The current task has taken over the user context of a task that blocked. */
TRACE_EVENT(syslet_handoff,
	TP_PROTO(u64 user_data, u64 worker),
	TP_ARGS(user_data, worker),
	TP_STRUCT__entry(
		__field(u64, user_data)
		__field(u64, worker)
	),
	TP_fast_assign(
		__entry->user_data = user_data;
		__entry->worker = worker;
	),
	TP_printk("user_data=0x%llx worker=%llu", __entry->user_data,
		  __entry->worker)
);

/* A program is over; an asynchronous one has the flag SYSLET_CQE_ASYNC (1). */
TRACE_EVENT(syslet_complete,
	TP_PROTO(u64 user_data, s64 result, u32 last, u32 flags),
	TP_ARGS(user_data, result, last, flags),
	TP_STRUCT__entry(
		__field(u64, user_data)
		__field(s64, result)
		__field(u32, last)
		__field(u32, flags)
	),
	TP_fast_assign(
		__entry->user_data = user_data;
		__entry->result = result;
		__entry->last = last;
		__entry->flags = flags;
	),
	TP_printk("user_data=0x%llx result=%lld last=%u flags=0x%x",
		  __entry->user_data, __entry->result, __entry->last,
		  __entry->flags)
);

/* The programs of a call can only block in their caller; reasons as in stats.rs. */
TRACE_EVENT(syslet_fallback,
	TP_PROTO(u32 reason),
	TP_ARGS(reason),
	TP_STRUCT__entry(
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->reason = reason;
	),
	TP_printk("reason=%s", __print_symbolic(__entry->reason,
		{ 0, "no-page" }, { 1, "compat" }, { 2, "traced" },
		{ 3, "task-state" }, { 4, "registers" }, { 5, "limit" },
		{ 6, "fork" }, { 7, "no-spare" }, { 8, "refused" }))
);

#endif /* _SYSLET_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
