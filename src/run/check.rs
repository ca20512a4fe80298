//! `fleetstorm check`: prints what a scenario would do, with no packet sent.

use super::host::Limits;
use super::preflight::{self, Layout, PreflightError};
use super::progress::grouped;
use crate::scenario::plan::{
    BackoffShape, BrokerUrl, Cohort, Fault, FaultKind, GoneClients, PhaseShape, Plan, Schedule,
    Stream, Target, Topology,
};
use crate::scenario::sdks;
use crate::scenario::slo::{Bound, Limit, Objective, Statistic, Window};
use crate::scenario::words::{Words, gone_clients, percent};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

mod operations;
mod recovery;

/// Figures as a terminal shows them before a run and while it goes on.
pub(super) const WORDS: Words = Words {
    count: grouped,
    time: |time| format!("{time:?}"),
};

/// The plan and what it takes on this machine, for people; `Err` in the layout is part of the text.
pub fn text(
    plan: &Plan,
    limits: &Limits,
    workers: Option<u32>,
) -> (String, Result<Layout, PreflightError>) {
    let layout = preflight::layout(plan, limits, workers);
    let mut out = String::new();
    write_text(&mut out, plan, limits, &layout).expect("a String accepts every write");
    (out, layout)
}

fn write_text(
    out: &mut String,
    plan: &Plan,
    limits: &Limits,
    layout: &Result<Layout, PreflightError>,
) -> std::fmt::Result {
    let hash = &plan.hash[..plan.hash.len().min(12)];
    writeln!(out, "{}  {}", plan.name, plan.about)?;
    writeln!(out, "seed {}  plan {hash}\n", plan.seed)?;
    write_fleet(out, plan)?;
    write_phases(out, plan)?;
    operations::write(out, plan)?;
    writeln!(out, "\nobjectives")?;
    for objective in &plan.objectives {
        let text = objective_text(plan, objective);
        writeln!(out, "  {:<34} {text}", objective.name)?;
    }
    match layout {
        Ok(layout) => {
            write_layout(out, layout, limits)?;
            operations::write_operator(out, plan)?;
        }
        Err(_) => writeln!(out, "\nthis machine cannot run it")?,
    }
    for warning in warnings(plan) {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

fn write_fleet(out: &mut String, plan: &Plan) -> std::fmt::Result {
    let devices = grouped(u64::from(plan.devices()));
    let observed = if plan.observe.ledger {
        plan.observe.devices
    } else {
        0
    };
    writeln!(out, "target     {}", target(plan))?;
    if let Target::Embedded(embedded) = &plan.target
        && let Some(line) = WORDS.service(embedded)
    {
        writeln!(out, "service    {line}")?;
    }
    writeln!(out, "fleet      {devices} devices")?;
    for cohort in &plan.cohorts {
        write_cohort(out, plan, cohort)?;
    }
    writeln!(out, "observed   {} devices", grouped(u64::from(observed)))?;
    writeln!(
        out,
        "load       {devices} device connections, up to {} power-ons/s, {} messages/s on average",
        WORDS.per_s(plan.power_on_peak_per_s()),
        WORDS.per_s(plan.rate_per_s())
    )?;
    match plan.largest_herd() {
        0 => {}
        herd => writeln!(
            out,
            "herd       {} devices come back after a restart, reset, close, power cut or crash",
            grouped(u64::from(herd))
        )?,
    }
    match plan.may_leave_half_open().len() {
        0 => Ok(()),
        half_open => writeln!(
            out,
            "half-open  up to {} connections that silenced devices leave behind",
            grouped(half_open as u64)
        ),
    }
}

fn write_phases(out: &mut String, plan: &Plan) -> std::fmt::Result {
    let (length, drain) = (plan.length().as_secs_f64(), plan.drain.as_secs_f64());
    writeln!(
        out,
        "\nphases     {length:.0} s in all, then at most {drain:.0} s drain"
    )?;
    for (index, phase) in plan.phases.iter().enumerate() {
        let (start, length) = (phase.start.as_secs_f64(), phase.length.as_secs_f64());
        write!(out, "  {start:>7.1} s  {:<16} {length:>7.1} s", phase.name)?;
        if let Some(power_on) = &phase.power_on {
            write!(out, "  power on {}", WORDS.power_on(power_on))?;
        }
        for fault in plan.faults.iter().filter(|fault| fault.phase == index) {
            write!(out, "  {}", fault_text(plan, fault))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn target(plan: &Plan) -> String {
    match &plan.target {
        Target::Embedded(embedded) => {
            let rate = embedded.accept_rate_per_s.map_or_else(
                || "admits at once".to_owned(),
                |rate| format!("admits {} connects/s", WORDS.per_s(rate)),
            );
            let gone = match embedded.gone_clients {
                GoneClients::Skip => String::new(),
                serve @ GoneClients::Serve => {
                    format!(", clients that have left are {}", gone_clients(serve))
                }
            };
            format!(
                "embedded reference backend, {} node(s), {rate}{gone}",
                embedded.nodes
            )
        }
        Target::Brokers(brokers) => {
            let urls: Vec<String> = brokers.urls.iter().map(address_text).collect();
            let topology = match brokers.topology {
                Topology::Cluster => "one cluster",
                Topology::Independent => "independent",
            };
            format!("{} ({topology})", urls.join(", "))
        }
    }
}

fn write_cohort(out: &mut String, plan: &Plan, cohort: &Cohort) -> std::fmt::Result {
    writeln!(
        out,
        "  {:<10} {:>9} devices",
        cohort.name,
        grouped(u64::from(cohort.devices))
    )?;
    if let Some(preset) = cohort.client.preset.and_then(sdks::preset) {
        let client = WORDS.client(&cohort.client);
        writeln!(out, "    {:<10} {client}", "client")?;
        if !preset.assumed.is_empty() {
            writeln!(out, "    {:<10} assumed in it: {}", "", preset.assumed)?;
        }
    }
    if let Some(link) = &cohort.link {
        writeln!(out, "    {:<10} {}", "link", WORDS.link(link))?;
    }
    for attribute in &cohort.attributes {
        let Some(root) = &attribute.root else {
            continue;
        };
        let sizes = || {
            attribute
                .values
                .iter()
                .map(|(_, devices)| u64::from(*devices))
        };
        writeln!(
            out,
            "    {:<10} {} values in the tree of {root}, {} to {} devices each",
            attribute.name,
            grouped(attribute.values.len() as u64),
            grouped(sizes().min().unwrap_or(0)),
            grouped(sizes().max().unwrap_or(0)),
        )?;
    }
    if let Some(store) = &cohort.store {
        writeln!(out, "    {:<10} {}", "store", WORDS.store(store))?;
    }
    for stream in &plan.streams[cohort.streams.clone()] {
        writeln!(
            out,
            "    {:<10} QoS {} {}  {} messages/s",
            stream.name,
            stream.qos as u8,
            schedule(stream),
            WORDS.per_s(f64::from(cohort.devices) / stream.mean_gap().as_secs_f64())
        )?;
    }
    operations::write_cohort(out, cohort)
}

fn schedule(stream: &Stream) -> String {
    match stream.schedule {
        Schedule::Every {
            period,
            phase: PhaseShape::Aligned { jitter },
        } if jitter.is_zero() => format!("every {period:?}, all devices at once,"),
        Schedule::Every {
            period,
            phase: PhaseShape::Aligned { jitter },
        } => format!("every {period:?}, all devices within {jitter:?},"),
        Schedule::Every {
            period,
            phase: PhaseShape::Uniform | PhaseShape::Boot,
        } => format!("every {period:?}"),
        Schedule::Poisson { mean_gap } => format!("Poisson, {mean_gap:?} on average"),
    }
}

fn fault_text(plan: &Plan, fault: &Fault) -> String {
    let what = match &fault.kind {
        FaultKind::Backend { node, fault } => {
            let node = node.map_or_else(|| "all nodes".to_owned(), |node| format!("node {node}"));
            format!("{} on {node}", fault.name())
        }
        FaultKind::Network { who, fault } => WORDS.outage(plan, who, *fault),
        FaultKind::Device { who, fault } => WORDS.device_fault(plan, who, fault),
    };
    format!(
        "fault {what} from {:.1} s to {:.1} s",
        fault.start.as_secs_f64(),
        fault.clear.as_secs_f64()
    )
}

/// One objective in words.
fn objective_text(plan: &Plan, objective: &Objective) -> String {
    let statistic = match objective.statistic {
        Statistic::Percentile(p) => format!(" p{p}"),
        Statistic::Share(share) => format!(" of {}", percent(share)),
        Statistic::Value => String::new(),
        Statistic::Mean => " mean".to_owned(),
        Statistic::Intervals(interval) => format!(" of {interval:?}"),
        Statistic::BadMinutes(share) => format!(" of {} failed", percent(share)),
    };
    let bound = match objective.bound {
        Bound::AtMost(limit) => format!("<= {}", limit_text(limit)),
        Bound::AtLeast(limit) => format!(">= {}", limit_text(limit)),
        Bound::Is(verdict) => format!("is {}", verdict.name()),
    };
    let window = match &objective.window {
        Window::Run => String::new(),
        Window::During(phases) => format!(
            " during {}",
            phases
                .iter()
                .map(|i| plan.phases[*i].name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Window::After(phase) => format!(" after {}", plan.phases[*phase].name),
    };
    format!("{}{statistic} {bound}{window}", objective.indicator.name())
}

fn limit_text(limit: Limit) -> String {
    match limit {
        Limit::Time(time) => format!("{time:?}"),
        Limit::Ratio(ratio) => format!("{} %", ratio * 100.0),
        Limit::Count(count) => grouped(count),
        Limit::Rate(per_s) => format!("{per_s}/s"),
        Limit::Factor(factor) => format!("{factor:?}x"),
    }
}

fn write_layout(out: &mut String, layout: &Layout, limits: &Limits) -> std::fmt::Result {
    writeln!(out, "\nthis machine")?;
    writeln!(
        out,
        "  processes  {} workers of up to {} devices, {} embedded nodes, 1 coordinator",
        layout.workers,
        grouped(u64::from(layout.devices_per_worker)),
        layout.embedded_nodes
    )?;
    writeln!(
        out,
        "  observers  up to {}",
        grouped(u64::from(layout.observers))
    )?;
    writeln!(
        out,
        "  files      {} per worker, {} per node; {} allowed per process",
        grouped(layout.worker_fds),
        grouped(layout.node_fds),
        grouped(limits.nofile_hard)
    )?;
    writeln!(
        out,
        "  ports      {} per source and target address",
        grouped(u64::from(limits.ports))
    )?;
    writeln!(
        out,
        "  memory     about {} MiB; {} MiB available",
        grouped(layout.memory_bytes >> 20),
        grouped(limits.memory_available_bytes >> 20)
    )?;
    Ok(())
}

/// What will not fail the check but may disappoint.
fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if plan.objectives.is_empty() {
        warnings.push("no slos: the run will end NO_DATA, exit code 5".to_owned());
    }
    if let Target::Brokers(brokers) = &plan.target {
        let named = brokers
            .urls
            .iter()
            .filter(|url| url.host.parse::<IpAddr>().is_err());
        for url in named.filter(|_| plan.devices() > preflight::UNNAMED_DEVICES_MAX) {
            warnings.push(format!(
                "{} is not resolved here: unless it is this machine, run needs --allow-target {}",
                url.host, url.host
            ));
        }
    }
    warnings.extend(overload(plan));
    warnings.extend(plan.cohorts.iter().filter_map(without_wait));
    warnings.extend(recovery::warnings(plan));
    warnings.extend(operations::warnings(plan));
    for objective in &plan.objectives {
        let Statistic::Percentile(p) = objective.statistic else {
            continue;
        };
        let Window::During(phases) = &objective.window else {
            continue;
        };
        let seconds: f64 = phases
            .iter()
            .map(|i| plan.phases[*i].length.as_secs_f64())
            .sum();
        let expected = seconds * plan.rate_per_s();
        // Below this many samples the largest one does not bound the percentile with 95 % confidence:
        // n >= ln(0.05) / ln(p).
        let needed = (0.05f64.ln() / (p / 100.0).ln()).ceil();
        let of_messages = objective.indicator.name().starts_with("publish")
            || objective.indicator.name().starts_with("e2e");
        if of_messages && expected < needed {
            warnings.push(format!("{:?}: about {expected:.0} messages are expected, p{p} needs {needed:.0}: it will be INCONCLUSIVE", objective.name));
        }
    }
    warnings
}

/// Devices that a refusal does not slow down.
fn without_wait(cohort: &Cohort) -> Option<String> {
    let never_waits = cohort.client.backoff.shape == BackoffShape::Fixed(Duration::ZERO);
    (never_waits && cohort.link.is_none()).then(|| {
        format!(
            "{} tries again without any wait, and nothing delays its packets: while the target answers with a refusal each device makes hundreds of attempts a second; a `link` would slow them down",
            cohort.name
        )
    })
}

/// More work in the long run than the workers can do.
fn overload(plan: &Plan) -> Option<String> {
    let Target::Embedded(embedded) = &plan.target else {
        return None;
    };
    let service = embedded.service?;
    let capacity = service.capacity_per_s(&service.publish?, embedded.nodes);
    let rate = plan.rate_per_s();
    (rate >= capacity).then(|| {
        format!(
            "{} messages/s on average are {:.0} % of what the workers can do: their queue fills up",
            WORDS.per_s(rate),
            100.0 * rate / capacity
        )
    })
}

/// Judges the addresses that need no resolver: whether the target may be loaded, and whether the
/// source addresses suffice.
///
/// # Errors
/// What `run` would refuse, too.
pub fn addresses(
    plan: &Plan,
    layout: &Layout,
    limits: &Limits,
    sources: &[IpAddr],
    allowed: &[String],
) -> Result<(), PreflightError> {
    let Target::Brokers(brokers) = &plan.target else {
        return Ok(());
    };
    let literal = |url: &BrokerUrl| Some(SocketAddr::new(url.host.parse().ok()?, url.port));
    let Some(targets) = brokers.urls.iter().map(literal).collect::<Option<Vec<_>>>() else {
        return Ok(());
    };
    preflight::check_allowed(plan, &targets, allowed)?;
    preflight::sources(plan, &targets, layout, limits, sources, 0).map(|_| ())
}

fn address_text(url: &BrokerUrl) -> String {
    if url.host.contains(':') {
        format!("mqtt://[{}]:{}", url.host, url.port)
    } else {
        format!("mqtt://{}:{}", url.host, url.port)
    }
}

#[cfg(test)]
mod tests;
