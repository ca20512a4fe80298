//! "Campaigns": what became of every target, how fast, and what those that failed have in common.

use super::{number, pill, timeline};
use crate::report::campaign::BUCKET_FLOOR;
use crate::report::plots;
use crate::report::units;
use crate::report::value::{Bucket, Campaign, Report, ShareTime, Witnesses};
use crate::report::words::printable;
use maud::{Markup, html};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        @for campaign in &report.campaigns {
            section.long {
                h2 { "Campaign " (printable(&campaign.name)) }
                p.lead { (printable(&about(campaign))) }
                @if let Some(halt) = &campaign.halt {
                    p.lead {
                        (pill("is-fail", "HALTED")) " "
                        (printable(&halt_text(campaign))) " Rule: " (printable(&halt.rule)) "."
                    }
                }
                @if let Some(at_s) = campaign.cancelled_s {
                    p.lead { (pill("is-stop", "CANCELLED")) " at " (units::clock_tenths_s(at_s)) "." }
                }
                @for plot in &plots::campaign(report, campaign) { (timeline::figure(plot)) }
                (outcomes(campaign))
                (completion(campaign))
                (root_causes(campaign))
                (rates(campaign))
                (facts(campaign))
                (witnesses(campaign))
            }
        }
    }
}

/// Whom it brought what.
fn about(campaign: &Campaign) -> String {
    let who = match campaign.server {
        "external" => "run by the target and told by its devices",
        _ => "run by the operator",
    };
    format!(
        "Version {} ({}) to {}, {who}, from {} to {}.",
        campaign.version,
        units::bytes(campaign.image_bytes),
        units::counted(campaign.targets + campaign.rowless, "target"),
        units::clock_tenths_s(campaign.start_s),
        units::clock_tenths_s(campaign.end_s)
    )
}

/// When it was halted, and what was exposed by then; nothing if it was not.
pub(in crate::report) fn halt_text(campaign: &Campaign) -> String {
    let Some(halt) = &campaign.halt else {
        return String::new();
    };
    let share = halt.started_share.map_or_else(String::new, |share| {
        format!(" ({} of the targets)", units::ratio(share))
    });
    let first = halt.after_first_failure_s.map_or_else(String::new, |s| {
        format!(", {} after the first bad end", units::time_s(s))
    });
    format!(
        "at {}, {} after its start{first} and {} after the threshold was crossed: {} of {} ended \
         executions counted against it. By then {} had started{share}.",
        units::clock_tenths_s(halt.at_s),
        units::time_s(halt.after_start_s),
        units::time_s(halt.after_crossing_s),
        units::count(halt.failures),
        units::count(halt.executed),
        units::counted(halt.started, "device")
    )
}

fn outcomes(campaign: &Campaign) -> Markup {
    html! {
        h3 { "Outcomes" }
        p.small.muted { "Every target in exactly one state; the states sum to the targets." }
        div.two {
            table {
                thead { tr { th { "State" } th.num { "Targets" } th.num { "Share" } } }
                tbody {
                    @for row in &campaign.outcomes { tr {
                        td { (spaced(row.outcome)) }
                        td class={ "num" @if is_bad(row.outcome) && row.count > 0 { " t-fail" } } { (units::count(row.count)) }
                        td.num { (row.share.map_or_else(|| "n/a".to_owned(), units::ratio)) }
                    } }
                    @if campaign.rowless > 0 {
                        tr { td { "without a row" } td.num.t-fail { (units::count(campaign.rowless)) } td.num { "n/a" } }
                    }
                    tr.sum { td { "all" } (number(campaign.targets + campaign.rowless)) td.num {} }
                }
            }
            @if !campaign.reasons.is_empty() {
                table {
                    thead { tr { th { "Not confirmed" } th { "Reason" } th.num { "Targets" } } }
                    tbody { @for row in &campaign.reasons { tr {
                        td { (spaced(row.outcome)) } td { (spaced(row.reason)) } (number(row.count))
                    } } }
                }
            }
        }
    }
}

/// `rolled back`.
pub(in crate::report) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

fn is_bad(outcome: &str) -> bool {
    matches!(outcome, "rolled_back" | "failed" | "bricked" | "timed_out")
}

pub(super) fn share_heads(times: &[ShareTime]) -> Markup {
    html! { @for time in times { th.num { (format!("T{}", time.percent)) } } }
}

pub(super) fn share_cells(times: &[ShareTime]) -> Markup {
    html! { @for share in times {
        td class={ "num" @if share.never { " t-fail" } } { (share.text()) }
    } }
}

fn completion(campaign: &Campaign) -> Markup {
    let Some(first) = campaign.completion.first() else {
        return html! {};
    };
    html! {
        h3 { "Completion" }
        p.small.muted { "From the campaign's start until this share of the targets was confirmed: the new firmware runs and says so. A target that was not confirmed counts as never." }
        div.scroll { table {
            thead { tr { th { "Targets" } th.num { "n" } th.num { "Confirmed" } (share_heads(&first.times)) } }
            tbody { @for group in &campaign.completion { tr {
                td { (printable(&group.group)) } (number(group.targets)) (number(group.confirmed))
                (share_cells(&group.times))
            } } }
        } }
    }
}

fn root_causes(campaign: &Campaign) -> Markup {
    html! {
        h3 { "Root causes" }
        p.small.muted {
            "Updates that failed, rolled back, timed out or were bricked, over all that ended, inside a part of the targets and outside it. Ranked by the lift that is certain: the lower end of the rate inside over the upper end of the rate outside (Wilson's 95 % intervals), so that 1 of 1 does not rank above 40 of 50. Where nothing outside failed the lift has no figure, and that bound stands for it. Parts in which fewer than "
            (BUCKET_FLOOR) " updates ended come last."
        }
        @if campaign.root_causes.is_empty() {
            p.lead { "No part of the targets fails more often than another: nothing ended badly, or all targets are alike." }
        } @else {
            div.scroll { table {
                thead { tr { th { "Targets with" } th.num { "Bad" } th.num { "Rate" } th.num { "Bad outside" } th.num { "Rate outside" } th.num { "Lift" } th.num { "At least" } th {} } }
                tbody { @for bucket in &campaign.root_causes { tr {
                    td.name { @if bucket.stands_out { strong { (printable(&bucket.bucket)) } } @else { (printable(&bucket.bucket)) } }
                    td.num { (of(bucket.bad, bucket.ended)) }
                    td class={ "num" @if bucket.stands_out { " t-fail" } } { (units::ratio(bucket.rate)) }
                    td.num { (of(bucket.bad_outside, bucket.ended_outside)) }
                    td.num { (units::ratio(bucket.rate_outside)) }
                    td.num { strong { (lift(bucket)) } }
                    td.num { (units::factor(bucket.lift_at_least)) }
                    td { @if bucket.stands_out { (pill("is-fail", "stands out")) } @else if bucket.ended < BUCKET_FLOOR { span.muted { "few" } } }
                } } }
            } }
        }
    }
}

fn of(part: u64, all: u64) -> String {
    format!("{} of {}", units::count(part), units::count(all))
}

/// `12.5x`, or `≥ 12.5x` if nothing outside was bad.
pub(in crate::report) fn lift(bucket: &Bucket) -> String {
    bucket.lift.map_or_else(
        || format!("≥ {}", units::factor(bucket.lift_at_least)),
        units::factor,
    )
}

fn rates(campaign: &Campaign) -> Markup {
    html! {
        @if !campaign.rungs.is_empty() {
            h3 { "Rollout rate" }
            p.small.muted { "Measured: one less than the devices notified in the rung over the time from the first to the last of them, pauses left out." }
            div.scroll { table {
                thead { tr { th.num { "From" } th.num { "Planned" } th.num { "Notified" } th.num { "Measured" } th.num { "Deviation" } } }
                tbody { @for rung in &campaign.rungs { tr {
                    td.num { (units::clock_tenths_s(rung.at_s)) }
                    td.num { (per_minute(rung.planned_per_min)) }
                    (number(rung.notified))
                    td.num { (rung.measured_per_min.map_or_else(|| "n/a".to_owned(), per_minute)) }
                    td.num { (rung.deviation.map_or_else(|| "n/a".to_owned(), deviation)) }
                } } }
            } }
        }
        @if !campaign.waves.is_empty() {
            h3 { "Waves" }
            div.scroll { table {
                thead { tr { th.num { "Wave" } th.num { "From" } th.num { "Notified before" } } }
                tbody { @for wave in campaign.waves.iter().take(WAVES_SHOWN) { tr {
                    td.num { (units::count(wave.index + 1)) } td.num { (units::clock_tenths_s(wave.at_s)) } (number(wave.notified_before))
                } } }
            } }
            @if campaign.waves.len() > WAVES_SHOWN {
                p.small.muted { "And " (units::count((campaign.waves.len() - WAVES_SHOWN) as u64)) " more." }
            }
        }
    }
}

/// Waves in the table; `report.json` has all of them.
const WAVES_SHOWN: usize = 50;

/// `1,500/min`.
pub(in crate::report) fn per_minute(rate: f64) -> String {
    units::rate(rate).replace("/s", "/min")
}

/// `+1.20 %`.
pub(in crate::report) fn deviation(deviation: f64) -> String {
    // Adding zero takes the sign off a zero.
    let percent = (deviation * 1e4).round() / 100.0 + 0.0;
    format!("{percent:+.2} %")
}

fn facts(campaign: &Campaign) -> Markup {
    html! {
        h3 { "Cost and harm" }
        div.scroll { table { tbody {
            @if let Some(bytes) = &campaign.bytes {
                tr {
                    td { "Image bytes per device" span.sub { "received, repetitions included, over the image's; of the " (units::counted(bytes.devices, "device")) " that had the whole image" } }
                    td.num { "mean " (factor(bytes.mean)) ", p50 " (factor(bytes.p50)) ", p99 " (factor(bytes.p99)) ", max " (factor(bytes.max)) }
                }
                tr {
                    @if let Some(served) = bytes.served {
                        td { "Image bytes in all" span.sub { "by the devices' word, and by the operator's" } }
                        td.num { (units::bytes(bytes.received)) " received, " (units::bytes(served)) " sent" }
                    } @else {
                        td { "Image bytes in all" span.sub { "by the devices' word; what an HTTP server sends the operator does not see" } }
                        td.num { (units::bytes(bytes.received)) " received" }
                    }
                }
            }
            @if let Some(telemetry) = &campaign.telemetry {
                tr {
                    td { "Telemetry p99 during it" span.sub { "live publishes of QoS 1 and 2, by when they were due; before: the undisturbed seconds ahead of the campaign" } }
                    td.num {
                        strong { (units::time_us(telemetry.p99_during_us)) } " (n = " (units::count(telemetry.n_during)) ")"
                        @if let (Some(before), Some(times)) = (telemetry.p99_before_us, telemetry.factor) {
                            ", " (factor(times)) " of " (units::time_us(before)) " before (n = " (units::count(telemetry.n_before)) ")"
                        }
                    }
                }
            }
            tr {
                td { "Wrong targets" span.sub { "devices that were offered the image and are not eligible by attributes or by the firmware that they came from" } }
                td class={ "num" @if campaign.wrong_targets > 0 { " t-fail" } } { strong { (units::count(campaign.wrong_targets)) } }
            }
            @if campaign.server != "external" {
                tr {
                    td { "Priority inversions" span.sub { "targets notified more than 1 s before one of a higher priority that had its offer within 1 s of its notification, so was connected; in brackets: whether or not it was" } }
                    td class={ "num" @if campaign.priority_inversions > 0 { " t-fail" } } {
                        strong { (units::count(campaign.priority_inversions)) } " (" (units::count(campaign.priority_inversions_possible)) ")"
                    }
                }
            }
            @for (from_s, to_s) in &campaign.pauses_s {
                tr { td { "Paused" } td.num { "from " (units::clock_tenths_s(*from_s)) " to " (units::clock_tenths_s(*to_s)) } }
            }
        } } }
    }
}

/// Two decimals, as the difference to one matters.
fn factor(times: f64) -> String {
    units::factor_digits(times, 2)
}

fn witnesses(campaign: &Campaign) -> Markup {
    let Some(found) = &campaign.witnesses else {
        return html! {};
    };
    html! {
        h3 { "Two witnesses" }
        p.small.muted { "The operator's word on each target, by what it heard, against the device's own. A difference that lost or late words explain is no fault of the evidence; if one excludes the other, the run is INVALID." }
        p.lead { (witness_text(found)) }
        @if !found.disagreements.is_empty() {
            div.scroll { table {
                thead { tr { th { "The operator says" } th { "The device says" } th.num { "Targets" } th { "For example" } th {} } }
                tbody { @for row in &found.disagreements { tr {
                    td { (spaced(row.operator)) } td { (spaced(row.device)) } (number(row.count)) td { (printable(&row.example)) }
                    td { @if row.explained { span.muted { "explained" } } @else { (pill("is-void", "contradiction")) } }
                } } }
            } }
        }
    }
}

/// `4,990 agree, 10 differ because words were lost or late, …`.
pub(in crate::report) fn witness_text(found: &Witnesses) -> String {
    let mut text = format!("{} agree", units::count(found.agree));
    for (count, what) in [
        (found.explained, "differ because words were lost or late"),
        (
            found.other_words,
            "were not confirmed by both, in different words",
        ),
        (found.contradictions, "contradict each other"),
        (
            found.strangers,
            "devices tell of an update and are no target",
        ),
    ] {
        if count > 0 {
            text = format!("{text}, {} {what}", units::count(count));
        }
    }
    text
}
