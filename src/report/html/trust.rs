//! "Can you trust this run?": the rules that would make it INVALID, the books as equations with
//! their figures, the workers, and the warnings.

use super::{number, pill};
use crate::report::units;
use crate::report::value::{Mode, Report};
use crate::report::words::printable;
use crate::stats::books::Books;
use maud::{Markup, html};

pub(super) fn section(report: &Report) -> Markup {
    let holds = report.generator.rules.iter().all(|rule| rule.holds);
    html! {
        section {
            @match report.mode {
                Mode::Live => {
                    h2 { "Can you trust this run?" }
                    p.lead {
                        @if holds { "Yes: every rule below held. " } @else { "No: at least one rule below is broken. " }
                        "A generator that is late or short of resources measures itself, not the target; then the run is INVALID, whatever its figures say."
                    }
                }
                Mode::Simulated => {
                    h2 { "Can you trust this simulation?" }
                    p.lead {
                        @if holds { "As a computation, yes: every rule below held. That makes it no measurement: its figures are as good as the model. " }
                        @else { "No: at least one rule below is broken. " }
                        "A simulation whose evidence does not add up is INVALID, whatever its figures say."
                    }
                }
            }
            ul.rules { @for rule in &report.generator.rules {
                li class=(if rule.holds { "ok" } else { "broken" }) {
                    span.mark aria-hidden="true" { (if rule.holds { "✓" } else { "✕" }) }
                    strong { (rule.name) }
                    @if !rule.holds { " " (pill("is-void", "BROKEN")) }
                    div { (printable(&rule.measured)) }
                    div.limit { "Must hold: " (printable(&rule.limit)) }
                }
            } }
            h3 { "The books" }
            (books(report))
            @if !report.warnings.is_empty() {
                h3 { "Warnings" }
                ul.warnings { @for warning in &report.warnings { li { (printable(warning)) } } }
            }
            (workers(report))
        }
    }
}

fn books(report: &Report) -> Markup {
    let Some(total) = &report.counts.total else {
        let sums = &report.counts.series;
        return html! {
            div.equations {
                "No final count. Over " (units::counted(sums.seconds, "recorded second")) ": "
                (units::count(sums.planned)) " planned, " (units::count(sums.sent)) " sent, "
                (units::count(sums.acked)) " acknowledged, " (units::count(sums.written)) " written (QoS 0), "
                (units::count(sums.timed_out)) " timed out."
            }
        };
    };
    html! {
        div.equations { table {
            (equation("planned", total.planned, &[
                ("sent", total.sent), ("skipped", total.skipped), ("dropped by policy", total.dropped_by_policy),
                ("device off", total.device_off), ("waiting", total.waiting),
            ]))
            (equation("sent", total.sent, &[
                ("acknowledged", total.acked), ("written (QoS 0)", total.written), ("timed out", total.timed_out),
                ("session gone", total.failed), ("in flight", total.in_flight),
            ]))
        } }
        p.small.muted {
            "Every operation of the schedule ends in exactly one place; the two sides are counted independently. Beside the equations: "
            (units::counted(total.retransmitted, "retransmission")) ", "
            (units::counted(total.late_acks, "late acknowledgement")) "."
        }
        @if report.counts.streams.len() > 1 || report.counts.phases.len() > 1 {
            details {
                summary { "By stream and phase" }
                div.scroll { table {
                    thead { tr {
                        th { "" } th.num { "Planned" } th.num { "Sent" } th.num { "Unsent" } th.num { "Waiting" }
                        th.num { "Acknowledged" } th.num { "Written" } th.num { "Timed out" } th.num { "Session gone" } th.num { "In flight" }
                    } }
                    tbody { @for stream in &report.counts.streams { (books_row(&stream.name, &stream.books)) } }
                    tbody.group { @for phase in &report.counts.phases { (books_row(&phase.name, &phase.books)) } }
                } }
            }
        }
    }
}

fn equation(left: &str, value: u64, terms: &[(&str, u64)]) -> Markup {
    let sum: u64 = terms.iter().map(|(_, n)| n).sum();
    html! { tr {
        td { strong { (units::count(value)) } small { (left) } }
        td.op { @if sum == value { "=" } @else { "≠" } }
        @for (index, (name, n)) in terms.iter().enumerate() {
            @if index > 0 { td.op { "+" } }
            td { (units::count(*n)) small { (name) } }
        }
    } }
}

fn books_row(name: &str, books: &Books) -> Markup {
    html! { tr {
        td.nowrap { (printable(name)) }
        (number(books.planned)) (number(books.sent))
        (number(books.skipped + books.dropped_by_policy + books.device_off)) (number(books.waiting))
        (number(books.acked)) (number(books.written)) (number(books.timed_out)) (number(books.failed)) (number(books.in_flight))
    } }
}

fn workers(report: &Report) -> Markup {
    let Some(watch) = report
        .generator
        .watch
        .as_ref()
        .filter(|w| !w.workers.is_empty())
    else {
        return html! {};
    };
    html! {
        h3 { "The generator" }
        div.scroll { table {
            thead { tr {
                th { "Worker" } th.num { "Devices" } th.num { "Worst second's lag p99" } th.num { "Seconds over" }
                th.num { "CPU mean" } th.num { "CPU max" } th.num { "Descriptors" } th.num { "Ports per source" } th.num { "Memory" }
            } }
            tbody { @for w in &watch.workers { tr {
                td { @if w.devices == 0 { "operator" } @else { (w.worker) } }
                (number(w.devices))
                td.num { (w.lag_worst_us.map_or_else(|| "n/a".to_owned(), units::time_us)) }
                (number(w.seconds_over))
                td.num { (format!("{:.0} %", w.cpu_mean_percent)) }
                td.num { (format!("{:.0} %", w.cpu_max_percent)) }
                (number(w.fds_max)) (number(w.ports_max))
                td.num { (units::bytes(w.rss_max_bytes)) }
            } } }
        } }
        p.small.muted {
            "Lag is from a timer's deadline to its handling, or the gap between two turns of the worker's loop if that is worse, p99 per second"
            @if let Some(lag) = watch.lag_p99_us { "; over the whole run p99 is " (units::time_us(lag)) }
            ". CPU is of one core."
        }
    }
}
