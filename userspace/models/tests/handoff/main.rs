// SPDX-License-Identifier: GPL-2.0

//! Detach against wake, kill, idle leaving and close.

// Each variant has its own copy of the module and of the scenarios.
#![allow(missing_docs, clippy::duplicate_mod, clippy::missing_panics_doc)]

#[macro_use]
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code)]
mod rest;

include!(concat!(env!("OUT_DIR"), "/handoff.rs"));

real! {
    detach_and_wake
    leave_now_and_kill
    detach_and_kill
    detach_and_stop
    detach_and_leave
    reserve_and_close
    reserve_and_close_having_led
    park_and_close
    detach_and_cancel
}

mistaken! {
    chooses_in_two_steps: detach_and_kill, "deadlock";
    withdraws_whatever_the_seat: detach_and_kill, "deadlock";
    calls_as_it_chooses: detach_and_stop, "Concurrent read and write";
    wakes_before_it_calls: detach_and_wake, "deadlock";
    announces_sleep_without_a_barrier: detach_and_wake, "deadlock";
    does_not_look_again_before_it_sleeps: detach_and_wake, "deadlock";
    does_not_await_the_kick: detach_and_wake, "Concurrent read and write";
    does_not_await_the_takeover: detach_and_wake, "!self.a.has_user()";
    tells_before_it_hands_on: detach_and_wake, "busy";
    tells_nobody_that_it_did_not_detach: leave_now_and_kill, "deadlock";
    leaves_though_reserved: detach_and_leave, "deadlock";
    marks_the_close_too_late: reserve_and_close, "deadlock";
    lets_who_stays_sleep: reserve_and_close_having_led, "deadlock";
    sleeps_on_as_it_is_closed: park_and_close, "deadlock";
    gives_back_to_sleep: reserve_and_close_having_led, "deadlock";
    lands_while_it_is_canceled: detach_and_cancel, "Concurrent read and write";
}
