// SPDX-License-Identifier: GPL-2.0

// The suites of `build.rs`. `from` is text of the module: one that is changed there has to be changed
// here.

const SUITES: &[Suite] = &[EXIT, HANDOFF, RING];

const EXIT: Suite = Suite {
    name: "exit",
    files: &["block", "cachemiss", "flight", "notify", "parking", "process", "ring", "roster", "worker"],
    mistakes: &[
        Mistake {
            name: "only_a_user_disbands",
            file: "process",
            from: "&& process.is_left_to_workers(enlisted) {",
            to: "&& process.is_left_to_workers(enlisted) && !is_worker {",
        },
        Mistake {
            name: "takes_leaving_workers_for_users",
            file: "process",
            from: "let mut is_worker = process.is_parked(task);",
            to: "let mut is_worker = false;",
        },
        Mistake {
            name: "leaves_the_status_as_it_is",
            file: "process",
            from: "            process.settle_status();\n",
            to: "",
        },
        Mistake {
            name: "takes_the_first_probe_for_the_last",
            file: "process",
            from: "if unsafe { raw::syslet_exits_last(task) } {",
            to: "if unsafe { raw::syslet_exits_last(task) } || unsafe { (*signal).live.counter } == 0 {",
        },
        Mistake {
            name: "parks_in_a_disbanded_pool",
            file: "cachemiss",
            from: "self.closing.store(true, Relaxed);",
            to: "",
        },
        Mistake {
            name: "reopens_a_disbanded_pool",
            file: "cachemiss",
            from: "!roster.dying && self.closing.xchg(false, Full)",
            to: "drop(roster); self.closing.xchg(false, Full)",
        },
    ],
};

const HANDOFF: Suite = Suite {
    name: "handoff",
    files: &["block", "cachemiss", "flight", "handoff", "notify", "ring", "roster", "worker"],
    mistakes: &[
        Mistake {
            name: "chooses_in_two_steps",
            file: "worker",
            from: "self.seat.cmpxchg(reserved, reserved | CHOSEN, Full).is_ok()",
            to: "let there = self.seat.load(Acquire) == reserved;
                 if there {
                     self.seat.store(reserved | CHOSEN, Release);
                 }
                 there",
        },
        Mistake {
            name: "withdraws_whatever_the_seat",
            file: "cachemiss",
            from: "worker.seat.cmpxchg(slot, AWAY, Full).is_ok()",
            to: "worker.seat.store(AWAY, Relaxed); true",
        },
        Mistake {
            name: "calls_as_it_chooses",
            file: "worker",
            from: "cmpxchg(reserved, reserved | CHOSEN, Full)",
            to: "cmpxchg(reserved, reserved | CHOSEN | CALLED, Full)",
        },
        Mistake {
            name: "wakes_before_it_calls",
            file: "worker",
            from: "self.seat.store(chosen | CALLED, Release);
        // SAFETY: As above.
        unsafe { bindings::wake_up_process(task) };",
            to: "self.wake();
        self.seat.store(chosen | CALLED, Release);",
        },
        Mistake {
            name: "announces_sleep_without_a_barrier",
            file: "cachemiss",
            from: ".xchg(state, Full);",
            to: ".store(state, Relaxed);",
        },
        Mistake {
            name: "does_not_look_again_before_it_sleeps",
            file: "cachemiss",
            from: "left = unsafe { bindings::schedule_timeout(left) };",
            to: "set_state(bindings::TASK_INTERRUPTIBLE);
                 left = unsafe { bindings::schedule_timeout(left) };",
        },
        Mistake {
            name: "does_not_await_the_kick",
            file: "flight",
            from: "self.sync_kick();
        // SAFETY: The worker is done with it.",
            to: "",
        },
        Mistake {
            name: "does_not_await_the_takeover",
            file: "flight",
            from: "unsafe { bindings::wait_for_completion(self.taken.get()) };
        self.sync_kick();
        // SAFETY: The worker is done with it.",
            to: "self.sync_kick();",
        },
        Mistake {
            name: "tells_before_it_hands_on",
            file: "handoff",
            from: "pool.hand_on(worker, flight, led);
    late::expect(worker);
    flight.complete_taken();",
            to: "flight.complete_taken();
    pool.hand_on(worker, flight, led);",
        },
        Mistake {
            name: "tells_nobody_that_it_did_not_detach",
            file: "block",
            from: "if owned.eager {",
            to: "if false {",
        },
        Mistake {
            name: "leaves_though_reserved",
            file: "cachemiss",
            from: "if idle && (roster",
            to: "if true && (roster",
        },
        Mistake {
            name: "marks_the_close_too_late",
            file: "cachemiss",
            from: "self.closing.xchg(true, Full);
        let mut roster = self.roster.lock();
        roster.retire_idle(|worker| alone || !worker.led.load(Relaxed));",
            to: "self.roster.lock().retire_idle(|_| true);
        self.closing.xchg(true, Full);",
        },
        Mistake {
            name: "lets_who_stays_sleep",
            file: "roster",
            from: "worker.retire();
            } else {
                worker.wake();
            }",
            to: "worker.retire();
            }",
        },
        Mistake {
            name: "sleeps_on_as_it_is_closed",
            file: "cachemiss",
            from: "if left == 0 || self.is_closing() {",
            to: "if left == 0 {",
        },
        Mistake {
            name: "gives_back_to_sleep",
            file: "cachemiss",
            from: "if self.is_closing() {
                worker.wake();
            }",
            to: "",
        },
        Mistake {
            name: "lands_while_it_is_canceled",
            file: "cachemiss",
            from: "pub fn land(&self, worker: &Worker) {
        let _roster = self.roster.lock();",
            to: "pub fn land(&self, worker: &Worker) {",
        },
    ],
};

const RING: Suite = Suite {
    name: "ring",
    files: &["indices", "notify", "ring"],
    mistakes: &[
        Mistake {
            name: "publishes_without_release",
            file: "ring",
            from: ".store(inner.tail, Release);",
            to: ".store(inner.tail, Relaxed);",
        },
        Mistake {
            name: "reuses_without_acquire",
            file: "ring",
            from: "RingHeader, head))
            .load(Acquire)",
            to: "RingHeader, head))
            .load(Relaxed)",
        },
        Mistake {
            name: "has_room_for_one_more",
            file: "indices",
            from: "    entries - used(head, tail, entries)",
            to: "    entries + 1 - used(head, tail, entries)",
        },
        Mistake {
            name: "posts_past_what_is_kept",
            file: "ring",
            from: "if inner.kept_len == 0 && self.has_room(&inner) {",
            to: "if self.has_room(&inner) {",
        },
        Mistake {
            name: "gives_back_the_place_of_what_is_kept",
            file: "ring",
            from: "let Place(()) = place;
            let slots",
            to: "self.give_back(place);
            let slots",
        },
        Mistake {
            name: "signals_before_it_posts",
            file: "ring",
            from: "let mut inner = self.inner.lock();
        self.unkeep(&mut inner);
        if inner.kept_len == 0",
            to: "if let Some(eventfd) = self.inner.lock().eventfd.take() {
            eventfd.signal();
            core::mem::forget(eventfd);
        }
        let mut inner = self.inner.lock();
        self.unkeep(&mut inner);
        if inner.kept_len == 0",
        },
        Mistake {
            name: "posts_without_waking",
            file: "ring",
            from: "drop(inner);
        self.wait.wake_all();
    }

    fn has_room(",
            to: "drop(inner);
    }

    fn has_room(",
        },
        Mistake {
            name: "looks_before_it_queues",
            file: "notify",
            from: "let result = loop {",
            to: "let result = loop {
            if let Some(value) = met() {
                break Ok(value);
            }
            let mut met = || None::<T>;",
        },
    ],
};
