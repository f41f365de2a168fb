// SPDX-License-Identifier: GPL-2.0
/* The tracepoints' definitions, which are macros of C. */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace.h"
