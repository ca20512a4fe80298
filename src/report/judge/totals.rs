//! The rules about the recorded totals: that the books balance, and that the values in the
//! histograms are as many as the books say.

use super::none_or;
use crate::mqtt::packet::QoS;
use crate::report::data::RunData;
use crate::report::units;
use crate::report::value::Rule;
use crate::stats::recorder::Totals;
use crate::stats::series::Metric;

/// The rules that rest on the totals.
pub(super) fn rules(run: &RunData, totals: &Totals) -> Vec<Rule> {
    let cells = || totals.books.iter().flatten();
    let off = cells().filter(|b| !b.balance()).count();
    let mut rules = vec![
        Rule {
            name: "Books",
            limit: "both equations hold in every stream and phase".to_owned(),
            measured: if off == 0 {
                "balanced".to_owned()
            } else {
                format!("{off} of {} do not balance", cells().count())
            },
            holds: off == 0,
        },
        Rule {
            name: "Schedule",
            limit: "planned by events = planned by arithmetic".to_owned(),
            measured: if totals.schedule_agrees {
                "agrees"
            } else {
                "differs"
            }
            .to_owned(),
            holds: totals.schedule_agrees,
        },
        Rule {
            name: "Histogram range",
            limit: "no value outside 1 µs to 1 h".to_owned(),
            measured: none_or(totals.out_of_range),
            holds: totals.out_of_range == 0,
        },
    ];
    // The totals of a worker that was lost are missing, and a stop cuts its series at another
    // instant; both have a verdict of their own.
    if run.lost.is_empty() && run.interrupted.is_none() {
        let missing = mismatches(run, totals);
        rules.push(Rule {
            name: "Histograms",
            limit: "as many values as ended publishes, ended attempts and recovered devices"
                .to_owned(),
            measured: if missing.is_empty() {
                "complete".to_owned()
            } else {
                missing.join("; ")
            },
            holds: missing.is_empty(),
        });
    }
    rules
}

/// Where the number of values in the histograms is not that of the totals.
fn mismatches(run: &RunData, totals: &Totals) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |what: &str, phase: &str, values: u64, wanted: u64| {
        if values != wanted {
            let (values, wanted) = (units::count(values), units::count(wanted));
            found.push(format!("{values} of {wanted} {what} in {phase}"));
        }
    };
    for (index, phase) in run.plan.phases.iter().enumerate() {
        let values = |metrics: &[Metric]| run.merged(metrics, &[index]).count();
        check(
            "publishes",
            &phase.name,
            values(&[Metric::AckResponse, Metric::AckResponseReplayed]),
            ended_publishes(run, totals, index),
        );
        check(
            "devices recovered",
            &phase.name,
            values(&[Metric::ReconnectTime]),
            recovered(run, totals, index),
        );
        check(
            "attempts",
            &phase.name,
            values(&[Metric::ConnectLatency]),
            (totals.attempts.get(index)).map_or(0, |a| a.accepted + a.failed),
        );
    }
    found
}

/// Publishes of a phase that should get a PUBACK and ended, with it or without.
fn ended_publishes(run: &RunData, totals: &Totals, phase: usize) -> u64 {
    let streams = totals.books.iter().zip(&run.plan.streams);
    streams
        .filter(|(_, stream)| stream.qos != QoS::AtMostOnce)
        .filter_map(|(books, _)| books.get(phase))
        .map(|books| books.acked + books.timed_out + books.failed)
        .sum()
}

/// Devices that came back from the faults of a phase.
fn recovered(run: &RunData, totals: &Totals, phase: usize) -> u64 {
    let faults = run.plan.faults.iter().zip(&totals.recoveries);
    faults
        .filter(|(fault, _)| fault.phase == phase)
        .map(|(_, recovery)| recovery.recovered)
        .sum()
}
