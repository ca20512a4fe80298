//! The tables under the pictures: recovery, percentiles, delivery, errors, phases, and what the
//! reference backend counted itself.

use super::number;
use crate::report::units;
use crate::report::value::{ALL_PHASES, Error, LatencyTable, Mode, Percentiles, Report};
use crate::report::words::printable;
use maud::{Markup, html};

pub(super) fn recoveries(report: &Report) -> Markup {
    if report.recoveries.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Reconnects" }
            p.lead { "From the instant the fault cleared to the CONNACK, over every device that had power and no connection then, or that a power cut or crash of the run kept dark. A device that never came back counts as never. Of several faults in a phase, the one that cleared last. Peak: most attempts begun in one second after the clearing. Attempts each: attempts from the fault's start to the next fault or the end, per device that had no connection at some time then. Resumed: reconnects after the clearing that found their persistent session." }
            div.scroll { table {
                thead { tr {
                    th { "Fault" } th.num { "Cleared at" } th.num { "Cut off" } th.num { "Came back" } th.num { "Stranded" }
                    @for time in &report.recoveries[0].times { th.num { (format!("T{}", time.percent)) } }
                    th.num { "Peak" } th.num { "Attempts each" } th.num { "Resumed" }
                } }
                tbody { @for recovery in &report.recoveries { tr {
                    td.name { (printable(&recovery.fault)) span.sub { (printable(&recovery.phase)) } }
                    td.num { (units::clock_tenths_s(recovery.clear_s)) }
                    (number(recovery.affected)) (number(recovery.recovered))
                    td class={ "num" @if recovery.stranded > 0 { " t-fail" } } { (units::count(recovery.stranded)) }
                    @for time in &recovery.times {
                        td class={ "num" @if time.us.is_none() { " t-fail" } } { (time.us.map_or_else(|| "never".to_owned(), units::time_us)) }
                    }
                    td.num { (recovery.peak_text()) } td.num { (recovery.amplification_text()) } td.num { (recovery.resumed_text()) }
                } } }
            } }
        }
    }
}

/// Tables under one heading: heading, what they mean, and (key, name) of each.
type Group = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// In the order of reading; response and service time side by side.
const GROUPS: [Group; 5] = [
    (
        "Publish",
        "Response time counts from the schedule, service time from the first write. Live publishes went out on time; replayed ones waited for a connection or were written again.",
        &[
            ("publish_ack_response", "response, live"),
            ("publish_ack_service", "service, live"),
            ("publish_ack_response_replayed", "response, replayed"),
        ],
    ),
    (
        "End to end",
        "From the schedule to the observer.",
        &[
            ("e2e_latency", "live"),
            ("e2e_latency_replayed", "replayed"),
        ],
    ),
    (
        "Freshness",
        "Age of the newest sample that an observer had seen of a device, read once in 5 s of each device's time.",
        &[("freshness_age", "age")],
    ),
    (
        "Connect",
        "Connect: one attempt, from power-on or the end of its backoff to CONNACK or failure. Reconnect: from the clearing of a fault to CONNACK.",
        &[
            ("connect_latency", "connect"),
            ("reconnect_time", "reconnect"),
        ],
    ),
    (
        "The generator itself",
        "From a timer's deadline to its handling.",
        &[("driver_lag", "driver lag")],
    ),
];

pub(super) fn latencies(report: &Report) -> Markup {
    html! {
        section.long {
            h2 { "Percentiles" }
            p.lead { "From merged histograms of three significant digits, never averaged. A percentile is n/a when there are too few values for it (p99 needs 299, p99.9 needs 2,995, p99.99 needs 29,956)." }
            @for (title, about, tables) in GROUPS {
                @let present: Vec<(&LatencyTable, &str)> = tables.iter()
                    .filter_map(|(key, name)| Some((report.latency.table(key)?, *name)))
                    .filter(|(table, _)| !table.rows.is_empty())
                    .collect();
                @if !present.is_empty() {
                    h3 { (title) }
                    p.small.muted { (about) }
                    div.scroll { table {
                        thead { tr {
                            th { "Phase" } th { "" } th.num { "n" } th.num { "mean" } th.num { "min" } th.num { "p50" } th.num { "p90" } th.num { "p95" }
                            th.num { "p99" } th.num { "p99.9" } th.num { "p99.99" } th.num { "max" }
                        } }
                        @for phase in phases_of(&present) {
                            tbody.group {
                                @for (index, (name, row)) in rows_of(&present, &phase).into_iter().enumerate() {
                                    (percentiles(if index == 0 { &phase } else { "" }, name, row))
                                }
                            }
                        }
                    } }
                }
            }
        }
    }
}

/// All phases some table has, all-phases first.
fn phases_of(tables: &[(&LatencyTable, &str)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (table, _) in tables {
        for (name, _) in &table.rows {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

fn rows_of<'a>(
    tables: &[(&'a LatencyTable, &'a str)],
    phase: &str,
) -> Vec<(&'a str, &'a Percentiles)> {
    let rows = tables.iter();
    rows.filter_map(|(table, name)| Some((*name, table.row(phase)?)))
        .collect()
}

fn percentiles(phase: &str, name: &str, row: &Percentiles) -> Markup {
    let at = |us: Option<u64>| us.map_or_else(|| "n/a".to_owned(), units::time_us);
    let phase = if phase == ALL_PHASES {
        "all phases".to_owned()
    } else {
        printable(phase)
    };
    html! { tr {
        td.nowrap { (phase) }
        td.nowrap.muted { (name) }
        (number(row.count))
        td.num { (units::time_us(row.mean.round() as u64)) }
        td.num { (units::time_us(row.min)) }
        td.num { (at(row.p50)) } td.num { (at(row.p90)) } td.num { (at(row.p95)) }
        td.num { strong { (at(row.p99)) } } td.num { (at(row.p99_9)) } td.num { (at(row.p99_99)) }
        td.num { (units::time_us(row.max)) }
    } }
}

pub(super) fn delivery(report: &Report) -> Markup {
    let delivery = &report.delivery;
    let lead = if !delivery.ledger {
        "The ledger was off: payloads carried no stamp, so nothing is known about delivery."
            .to_owned()
    } else if delivery.observed_devices == 0 {
        "No device was observed, so nothing is known about delivery.".to_owned()
    } else {
        format!(
            "Telemetry of {} was received again by {} and compared message by message.",
            units::counted(delivery.observed_devices, "device"),
            match report.mode {
                Mode::Live => "observers",
                Mode::Simulated => "simulated observers",
            }
        )
    };
    html! {
        section {
            h2 { "Delivery" }
            p.lead { (lead) }
            @if let (Some(c), true) = (&delivery.counts, delivery.ledger && delivery.observed_devices > 0) {
                div.two {
                    (ledger_table(&[
                        ("Verified acknowledgements", "acknowledged, and their fate is known", c.verified_acks, false),
                        ("Seen", "distinct messages that reached an observer", c.seen, false),
                        ("Lost", "acknowledged and never seen", c.lost, true),
                        ("Duplicated", "seen again without a retransmission", c.duplicated, true),
                        ("Duplicated, explained", "seen again after a retransmission of ours", c.duplicated_explained, false),
                        ("Redelivered to the observer", "seen again after our observer lost its connection; no fault of the delivery", c.redelivered, false),
                        ("Out of order", "first deliveries behind a later one", c.reordered, true),
                    ]))
                    (ledger_table(&[
                        ("Recovered", "never acknowledged, but seen", c.recovered, false),
                        ("Undelivered", "never acknowledged, never seen", c.undelivered, false),
                        ("Unverified", "acknowledged while the observer was away", c.unverified, true),
                        ("Unresolved", "left the window before it was decided", c.unresolved, true),
                        ("Corrupt", "stamp unreadable", c.corrupt, true),
                        ("Foreign", "of another run, device or stream", c.foreign, true),
                        ("Stored", "retained copies sent because an observer subscribed; not counted elsewhere", c.stored, false),
                    ]))
                }
            }
            @if let Some(wills) = &delivery.wills {
                h3 { "Wills" }
                (ledger_table(&[
                    ("Watched", "observed devices with a will", wills.watched, false),
                    ("Fired", "wills of observed devices that reached an observer", wills.fired, false),
                    ("Devices", "whose will fired", wills.devices, false),
                    ("Devices, more than once", "whose will fired again", wills.devices_repeated, false),
                    ("Redelivered to the observer", "sent again by the target; not counted again", wills.redelivered, false),
                    ("Gaps", "times an observer of such devices was away; wills may be missing", wills.gaps, true),
                ]))
            }
            @if let Some(lost) = &delivery.lost_by_policy {
                h3 { "Lost by policy" }
                p.lead { (units::count(lost.count)) " dropped by the stores of devices and never sent; no part of what was lost." }
                div.scroll { table {
                    thead { tr { th { "Stream" } th.num { "Dropped by policy" } } }
                    tbody { @for stream in &lost.streams { tr {
                        td.nowrap { (printable(&stream.name)) } (number(stream.count))
                    } } }
                } }
            }
        }
    }
}

/// Name, meaning, count, and whether anything above zero deserves a second look.
fn ledger_table(rows: &[(&str, &str, u64, bool)]) -> Markup {
    html! { table { tbody { @for (name, meaning, n, is_bad) in rows { tr {
        td { (name) span.sub { (meaning) } }
        td class={ "num" @if *is_bad && *n > 0 { " t-fail" } } { strong { (units::count(*n)) } }
    } } } } }
}

pub(super) fn errors(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Errors" }
            @if report.errors.is_empty() {
                p.lead { "None." }
            } @else {
                p.lead { "As the devices saw them, by kind. During a fault many of them are what the scenario asked for." }
                (error_table(&report.errors))
            }
        }
    }
}

fn error_table(errors: &[Error]) -> Markup {
    html! { div.scroll { table {
        thead { tr { th { "Error" } th.num { "Count" } th.num { "First seen" } th { "In phase" } th.num { "Last seen" } th { "For example" } } }
        tbody { @for error in errors { tr {
            td.name { (printable(&error.text)) span.sub { code { (printable(&error.kind)) } } }
            td.num { strong { (units::count(error.count)) } }
            td.num { (units::clock_tenths_s(error.first_s)) }
            td { (printable(&error.first_phase)) }
            td.num { (units::clock_tenths_s(error.last_s)) }
            td { (printable(&error.example)) }
        } } }
    } } }
}

pub(super) fn phases(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Phases" }
            p.lead { "A failed attempt is wasted if the device gave it up after its CONNECT was written: what the target did for it was for nothing." }
            div.scroll { table {
                thead { tr {
                    th { "Phase" } th.num { "From" } th.num { "To" } th { "Judged" }
                    th.num { "Connects accepted" } th.num { "Attempts failed" } th.num { "Of those wasted" } th.num { "Availability" }
                } }
                tbody { @for phase in &report.phases { tr {
                    td { (printable(&phase.name)) }
                    td.num { (units::clock_s(phase.start_s)) }
                    td.num { (units::clock_s(phase.end_s)) }
                    td { @if phase.judged { "yes" } @else { span.muted { "no" } } }
                    td.num { (phase.accepted.map_or_else(|| "n/a".to_owned(), units::count)) }
                    td.num { (phase.failed.map_or_else(|| "n/a".to_owned(), units::count)) }
                    td.num { (phase.wasted.map_or_else(|| "n/a".to_owned(), units::count)) }
                    td.num { (phase.availability.map_or_else(|| "n/a".to_owned(), units::ratio)) }
                } } }
            } }
        }
    }
}

pub(super) fn backend(report: &Report) -> Markup {
    let nodes = &report.backend.nodes;
    if nodes.is_empty() {
        return html! {};
    }
    let mut keys: Vec<&String> = nodes.iter().flat_map(|n| n.counts.keys()).collect();
    keys.sort();
    keys.dedup();
    let is_zero = |key: &&String| {
        nodes
            .iter()
            .all(|n| n.counts.get(*key).is_none_or(|c| *c == 0))
    };
    let (zero, keys): (Vec<&String>, Vec<&String>) = keys.into_iter().partition(is_zero);
    let zero: Vec<String> = zero
        .iter()
        .map(|key| printable(&key.replace('_', " ")))
        .collect();
    html! {
        section {
            h2 { (match report.mode {
                Mode::Live => "What the target counted itself",
                Mode::Simulated => "What the model counted itself",
            }) }
            p.lead { "The reference backend's own truth, to hold against what the devices saw. It is a model of a broker, no benchmark of one." }
            div.scroll { table {
                thead { tr { th { "" } @for node in nodes { th.num { "node " (node.node) } } } }
                tbody { @for key in keys { tr {
                    td { (printable(&key.replace('_', " "))) }
                    @for node in nodes { td.num { (node.counts.get(key).map_or_else(|| "–".to_owned(), |n| units::count(*n))) } }
                } } }
            } }
            @if !zero.is_empty() { p.small.muted { "Zero on every node: " (zero.join(", ")) "." } }
            @for node in nodes.iter().filter(|n| !n.errors.is_empty()) {
                h3 { "Errors seen by node " (node.node) }
                (error_table(&node.errors))
            }
        }
    }
}
