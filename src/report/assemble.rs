//! From the evidence to the one [`Report`] value: names for indices, seconds for instants, and
//! percentile tables for histograms.

use super::campaign;
use super::commands;
use super::data::RunData;
use super::judge;
use super::objective::{self, reconnect, sample_floor};
use super::prediction;
use super::recovery;
use super::units;
use super::value::{
    self, ALL_PHASES, Backend, BackendNode, Counts, Delivery, Fault, Latency, LatencyTable,
    LostByPolicy, NamedBooks, NamedCount, Percentiles, Phase, Point, Provenance, Recovery,
    RecoveryTime, Report, Run, SCHEMA, Scenario, SeriesSums,
};
use super::window;
use super::words;
use crate::scenario::slo::Window;
use crate::stats::books::Books;
use crate::stats::histogram::Histogram;
use crate::stats::recorder::ErrorCount;
use crate::stats::series::{Metric, Row};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Shares of the affected devices whose return is timed, percent.
const RECOVERY_PERCENTS: [f64; 4] = [50.0, 95.0, 99.0, 100.0];

/// Judges `run` and lays out all that the renderers need.
pub fn report(run: &RunData) -> Report {
    let objectives = objective::judge_all(run);
    let generator = judge::generator(run);
    let judgement = judge::judge(run, &objectives, &generator);
    let signal = run.interrupted.map_or(0, |(_, signal)| signal);
    Report {
        schema: SCHEMA,
        mode: run.header.mode,
        prediction: prediction::of(run),
        scenario: Scenario {
            name: run.plan.name.clone(),
            about: run.plan.about.clone(),
            hash: run.header.plan_hash.clone(),
            seed: run.header.seed.to_string(),
        },
        verdict: judgement.verdict,
        word: judgement.verdict.word(run.header.mode),
        exit_code: value::exit_code(judgement.verdict, signal).code(),
        reason: judgement.reason,
        reasons: judgement.reasons,
        warnings: judgement.warnings,
        run: run_info(run),
        objectives,
        counts: counts(run),
        delivery: Delivery {
            ledger: run.plan.observe.ledger,
            observed_devices: u64::from(run.plan.observe.devices),
            counts: run.outcome.as_ref().map(|o| o.totals.delivery),
            wills: run.outcome.as_ref().and_then(|o| o.totals.wills),
            lost_by_policy: lost_by_policy(run),
        },
        phases: phases(run),
        faults: faults(run),
        latency: latency(run),
        generator,
        recoveries: recoveries(run),
        recovery_verdicts: recovery::verdicts(run),
        campaigns: campaign::all(run),
        commands: commands::commands(run),
        queries: commands::queries(run),
        errors: run
            .outcome
            .as_ref()
            .map_or_else(Vec::new, |o| errors(run, &o.totals.errors)),
        backend: Backend {
            nodes: (run.backends.iter())
                .map(|(&node, (counts, seen))| BackendNode {
                    node,
                    counts: counts.clone(),
                    errors: errors(run, seen),
                })
                .collect(),
        },
        provenance: provenance(run),
        timeline: timeline(run),
    }
}

/// A row of a percentile table; percentiles below their sample floor are left out.
pub(super) fn percentiles(values: &Histogram) -> Option<Percentiles> {
    let (min, max) = values.min_max_us()?;
    let count = values.count();
    let at = |p: f64| {
        (count >= sample_floor(p))
            .then(|| values.percentile_us(p))
            .flatten()
    };
    Some(Percentiles {
        unit: "us",
        count,
        mean: values.mean_us()?,
        min,
        p50: at(50.0),
        p90: at(90.0),
        p95: at(95.0),
        p99: at(99.0),
        p99_9: at(99.9),
        p99_99: at(99.99),
        max,
    })
}

fn run_info(run: &RunData) -> Run {
    let peak = |pick: fn(&Row) -> u64| run.series.rows.iter().map(pick).max();
    let is_simulated = run.header.mode.is_simulated();
    Run {
        started: (run.started.as_ref())
            .filter(|_| !is_simulated)
            .map(|(_, wall_clock)| wall_clock.clone()),
        planned_s: run.plan.length().as_secs_f64(),
        duration_s: run.ended_s(),
        drain_s: (run.outcome.as_ref()).map(|o| o.drained.since(o.end).as_secs_f64()),
        drain_complete: run.outcome.as_ref().is_some_and(|o| o.drain_complete),
        partial: !run.is_complete() || !run.lost.is_empty(),
        devices: u64::from(run.plan.devices()),
        cohorts: (run.plan.cohorts.iter())
            .map(|c| (c.name.clone(), u64::from(c.devices)))
            .collect(),
        peak_connected: peak(|row| row.gauges.connected).unwrap_or(0),
        peak_connects_per_s: peak(|row| row.counters.connects).unwrap_or(0),
        peak_sent_per_s: peak(|row| row.counters.sent).unwrap_or(0),
        target: if is_simulated {
            prediction::target(run)
        } else {
            words::target(&run.plan.target, &run.header.targets)
        },
    }
}

fn lost_by_policy(run: &RunData) -> Option<LostByPolicy> {
    let totals = &run.outcome.as_ref()?.totals;
    let mut streams = Vec::new();
    for (stream, books) in run.plan.streams.iter().zip(&totals.books) {
        let cohort = run.plan.cohorts.get(stream.cohort)?;
        if cohort.store.is_some() {
            streams.push(NamedCount {
                name: format!("{}/{}", cohort.name, stream.name),
                count: books.iter().map(|books| books.dropped_by_policy).sum(),
            });
        }
    }
    (!streams.is_empty()).then(|| LostByPolicy {
        count: streams.iter().map(|stream| stream.count).sum(),
        streams,
    })
}

fn counts(run: &RunData) -> Counts {
    let totals = run.outcome.as_ref().map(|o| &o.totals);
    let cells = || totals.into_iter().flat_map(|t| t.books.iter().flatten());
    let sum = |books: &mut dyn Iterator<Item = &Books>| {
        books.fold(Books::default(), |mut all, b| {
            all.add(b);
            all
        })
    };
    let streams = run.plan.streams.iter().enumerate().map(|(index, stream)| {
        let cohort = run.plan.cohorts.get(stream.cohort);
        let of_stream = totals.and_then(|t| t.books.get(index));
        NamedBooks {
            name: format!(
                "{}/{}",
                cohort.map_or("?", |c| c.name.as_str()),
                stream.name
            ),
            books: sum(&mut of_stream.into_iter().flatten()),
        }
    });
    let phases = run.plan.phases.iter().enumerate().map(|(index, phase)| {
        let of_phase = totals.into_iter().flat_map(|t| &t.books);
        NamedBooks {
            name: phase.name.clone(),
            books: sum(&mut of_phase.filter_map(|stream| stream.get(index))),
        }
    });
    Counts {
        total: totals.map(|_| sum(&mut cells())),
        balanced: totals.is_some() && cells().all(Books::balance),
        schedule_agrees: totals.is_some_and(|t| t.schedule_agrees),
        out_of_range: totals.map_or(0, |t| t.out_of_range),
        streams: if totals.is_some() {
            streams.collect()
        } else {
            Vec::new()
        },
        phases: if totals.is_some() {
            phases.collect()
        } else {
            Vec::new()
        },
        series: series_sums(run),
    }
}

fn series_sums(run: &RunData) -> SeriesSums {
    let mut sums = SeriesSums::default();
    for row in &run.series.rows {
        sums.seconds += 1;
        sums.planned += row.counters.planned;
        sums.sent += row.counters.sent;
        sums.acked += row.counters.acked;
        sums.written += row.counters.written;
        sums.timed_out += row.counters.timed_out;
        sums.connects += row.counters.connects;
        sums.attempt_failures += row.counters.attempt_failures;
    }
    sums
}

fn phases(run: &RunData) -> Vec<Phase> {
    let judged = judge::judged_phases(run);
    let totals = run.outcome.as_ref().map(|o| &o.totals);
    let phases = run.plan.phases.iter().enumerate();
    phases
        .map(|(index, phase)| {
            let attempts = totals.and_then(|t| t.attempts.get(index));
            let availability = totals.and_then(|t| t.availability.get(index));
            Phase {
                name: phase.name.clone(),
                start_s: phase.start.as_secs_f64(),
                end_s: (phase.start + phase.length).as_secs_f64(),
                judged: judged.contains(&index),
                accepted: attempts.map(|a| a.accepted),
                failed: attempts.map(|a| a.failed),
                wasted: attempts.map(|a| a.wasted),
                availability: availability
                    .filter(|(_, expected)| *expected > 0.0)
                    .map(|(up, expected)| up / expected),
            }
        })
        .collect()
}

fn faults(run: &RunData) -> Vec<Fault> {
    let faults = run.plan.faults.iter();
    faults
        .map(|fault| Fault {
            label: words::fault(&run.plan, fault),
            phase: phase_name(run, fault.phase),
            start_s: fault.start.as_secs_f64(),
            clear_s: fault.clear.as_secs_f64(),
        })
        .collect()
}

fn latency(run: &RunData) -> Latency {
    let all: Vec<usize> = (0..run.plan.phases.len()).collect();
    let table = |metric: Metric| {
        let mut rows = Vec::new();
        if let Some(row) = percentiles(&run.merged(&[metric], &all)) {
            rows.push((ALL_PHASES.to_owned(), row));
        }
        for &index in &all {
            if let Some(row) = percentiles(&run.merged(&[metric], &[index])) {
                rows.push((phase_name(run, index), row));
            }
        }
        LatencyTable {
            key: metric.name(),
            rows,
        }
    };
    // A simulation has no driver that could be late.
    let has_driver = !run.header.mode.is_simulated();
    let metrics = Metric::ALL.into_iter();
    let metrics = metrics.filter(|m| has_driver || *m != Metric::DriverLag);
    // A table that nobody asked for.
    let is_there = |t: &LatencyTable| t.key != Metric::FreshnessAge.name() || !t.rows.is_empty();
    Latency(metrics.map(table).filter(is_there).collect())
}

fn recoveries(run: &RunData) -> Vec<Recovery> {
    let totals = run.outcome.as_ref().map(|o| &o.totals);
    let followed = window::faults(&run.plan, &Window::Run);
    let rows = followed.into_iter().filter_map(|index| {
        let fault = run.plan.faults.get(index)?;
        let counted = totals.and_then(|t| t.recoveries.get(index))?;
        if counted.affected == 0 {
            return None;
        }
        let recovered = window::recovered(run, &[index])?;
        let times = RECOVERY_PERCENTS.iter().map(|&percent| {
            let share = percent / 100.0;
            let s = objective::time_to_share_s(&recovered.times, recovered.affected, share);
            RecoveryTime {
                percent,
                us: s.is_finite().then(|| (s * 1e6).round() as u64),
            }
        });
        Some(Recovery {
            fault: words::fault(&run.plan, fault),
            phase: phase_name(run, fault.phase),
            clear_s: fault.clear.as_secs_f64(),
            affected: counted.affected,
            recovered: counted.recovered,
            stranded: counted.affected.saturating_sub(counted.recovered),
            peak_attempts_per_s: reconnect::peak(run, index).map(|peak| peak.attempts),
            amplification: reconnect::herd(run, index).and_then(|herd| herd.amplification()),
            resumed: reconnect::herd(run, index).and_then(|herd| herd.resumes.ratio()),
            times: times.collect(),
        })
    });
    rows.collect()
}

fn errors(run: &RunData, counts: &[ErrorCount]) -> Vec<value::Error> {
    let mut errors: Vec<value::Error> = (counts.iter())
        .map(|error| {
            let first_s = run.seconds_of(error.first);
            value::Error {
                kind: words::error_kind(error.kind),
                text: words::error(error.kind),
                count: error.count,
                first_s,
                last_s: run.seconds_of(error.last),
                first_phase: phase_at(run, first_s),
                example: words::device(&run.plan, error.example_device),
                blames_generator: judge::blames_generator(error.kind),
            }
        })
        .collect();
    errors.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
    errors
}

fn provenance(run: &RunData) -> Provenance {
    let header = &run.header;
    let is_simulated = header.mode.is_simulated();
    let mut overrides = Vec::new();
    if let Some(devices) = header.overrides.devices {
        overrides.push(format!("devices: {}", units::count(u64::from(devices))));
    }
    if let Some(seed) = header.overrides.seed {
        overrides.push(format!("seed: {seed}"));
    }
    for target in &header.overrides.targets {
        overrides.push(format!("target: {target}"));
    }
    Provenance {
        version: header.version.clone(),
        reported_by: env!("CARGO_PKG_VERSION").to_owned(),
        format: header.format,
        command: header.command.clone(),
        overrides,
        run_id: header.run_id.clone(),
        targets: if is_simulated {
            Vec::new()
        } else {
            header.targets.clone()
        },
        workers: header.workers.clone(),
        host: if is_simulated {
            BTreeMap::new()
        } else {
            header.host.clone()
        },
        scenario_sha256: words::hex(&Sha256::digest(run.scenario_text.as_bytes())),
        scenario_text: run.scenario_text.clone(),
    }
}

fn timeline(run: &RunData) -> Vec<Point> {
    let rows = run.series.rows.iter();
    rows.map(|row| Point {
        at_s: f64::from(row.second) + 1.0,
        powered: row.gauges.powered,
        connected: row.gauges.connected,
        waiting: row.gauges.waiting,
        attempts: row.counters.attempts,
        connects: row.counters.connects,
        attempt_failures: row.counters.attempt_failures,
        wasted: row.counters.wasted,
        planned: row.counters.planned,
        sent: row.counters.sent,
        acked: row.counters.acked + row.counters.written,
        p50_us: row.ack.p50_us,
        p99_us: row.ack.p99_us,
        p99_9_us: row.ack.p999_us,
    })
    .collect()
}

fn phase_name(run: &RunData, index: usize) -> String {
    let phase = run.plan.phases.get(index);
    phase.map_or_else(|| "?".to_owned(), |p| p.name.clone())
}

/// Name of the phase at `s` from T0; `drain` after the last.
fn phase_at(run: &RunData, s: f64) -> String {
    let mut phases = run.plan.phases.iter();
    let found = phases.find(|p| s < (p.start + p.length).as_secs_f64());
    found.map_or_else(|| "drain".to_owned(), |p| p.name.clone())
}
