//! Campaigns, fleet commands and queries before a run: whom they mean, what they take, and what will
//! not come out as planned.

use super::WORDS;
use crate::run::progress::grouped;
use crate::scenario::campaign::{Campaign, FleetCommand, Server};
use crate::scenario::plan::{Cohort, Plan};
use crate::scenario::update::WireProfile;
use std::fmt::Write as _;
use std::time::Duration;

/// Largest chunk that ThingsBoard's transport serves (`NETTY_MAX_PAYLOAD_SIZE` of its MQTT server).
const THINGSBOARD_CHUNK_MAX: u32 = 65_536;

/// What a cohort's devices do besides telemetry.
pub(super) fn write_cohort(out: &mut String, cohort: &Cohort) -> std::fmt::Result {
    if let Some(reported) = &cohort.reported {
        writeln!(out, "    {:<10} {}", "reported", WORDS.reported(reported))?;
    }
    if let Some(commands) = &cohort.commands {
        let work = (WORDS.time)(commands.work);
        let qos = commands.qos as u8;
        writeln!(
            out,
            "    {:<10} QoS {qos}, answered after {work}",
            "commands"
        )?;
    }
    if let Some(update) = &cohort.update {
        writeln!(out, "    {:<10} {}", "update", WORDS.update(update))?;
    }
    Ok(())
}

/// What the operator does.
pub(super) fn write(out: &mut String, plan: &Plan) -> std::fmt::Result {
    for campaign in &plan.campaigns {
        writeln!(
            out,
            "\ncampaign   {} at {:.1} s",
            campaign.name,
            campaign.start.as_secs_f64()
        )?;
        write_campaign(out, plan, campaign)?;
    }
    for command in &plan.commands {
        writeln!(
            out,
            "\ncommand    {} at {:.1} s",
            command.name,
            command.start.as_secs_f64()
        )?;
        writeln!(out, "  {}", WORDS.fleet_command(plan, command))?;
        write_command(out, plan, command)?;
    }
    for query in &plan.queries {
        writeln!(
            out,
            "\nquery      {} from {:.1} s to {:.1} s",
            query.name,
            query.start.as_secs_f64(),
            query.end.as_secs_f64()
        )?;
        writeln!(out, "  {}", WORDS.fleet_query(plan, query))?;
        let counted = query.targets.factory_members(plan).len();
        let counted = grouped(counted as u64);
        writeln!(out, "  devices    {counted} as they leave the factory")?;
    }
    Ok(())
}

fn write_campaign(out: &mut String, plan: &Plan, campaign: &Campaign) -> std::fmt::Result {
    writeln!(out, "  {}", WORDS.campaign(plan, campaign))?;
    let targets = campaign.targets.factory_members(plan);
    let count = count(targets.len());
    writeln!(
        out,
        "  targets    {} as they leave the factory",
        grouped(u64::from(count))
    )?;
    if campaign.server == Server::Operator {
        let last = about(campaign.last_turn(plan, count));
        let all = about(campaign.least(plan, count));
        writeln!(
            out,
            "  takes      the last has its turn after {last}, all are done after {all} at the earliest"
        )?;
    }
    for (from, to) in &campaign.pauses {
        let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
        writeln!(out, "  paused     from {from:.1} s to {to:.1} s")?;
    }
    if let Some(cancel) = campaign.cancel {
        writeln!(out, "  cancelled  at {:.1} s", cancel.as_secs_f64())?;
    }
    for cohort in &plan.cohorts {
        let begin = targets.partition_point(|device| *device < cohort.first);
        let end = targets.partition_point(|device| *device < cohort.first + cohort.devices);
        let (Some(update), true) = (&cohort.update, begin < end) else {
            continue;
        };
        let blocks = update.blocks(campaign.image.bytes);
        let devices = (end - begin) as u64;
        let bytes = u64::from(campaign.image.bytes) * devices;
        let how = match blocks.messages {
            0 => "over HTTP".to_owned(),
            each => format!(
                "{} messages per device, {} in all",
                grouped(each),
                grouped(each * devices)
            ),
        };
        writeln!(
            out,
            "  {:<10} {} blocks, {how}; {} MiB of image in all",
            cohort.name,
            grouped(blocks.count),
            grouped(bytes.div_ceil(1 << 20))
        )?;
    }
    Ok(())
}

fn write_command(out: &mut String, plan: &Plan, command: &FleetCommand) -> std::fmt::Result {
    let targets = command.targets.factory_members(plan).len();
    let sending = command.rate_per_s.map_or_else(String::new, |rate| {
        let takes = f64::from(count(targets)) / rate;
        format!(", sent within {}", about(Duration::from_secs_f64(takes)))
    });
    let by_hand = command.by_hand.saturating_mul(count(targets));
    writeln!(
        out,
        "  devices    {} as they leave the factory{sending}; by hand {}",
        grouped(targets as u64),
        about(by_hand)
    )
}

/// The line on the operator's own process.
pub(super) fn write_operator(out: &mut String, plan: &Plan) -> std::fmt::Result {
    if !plan.has_operator() {
        return Ok(());
    }
    writeln!(
        out,
        "  operator   1 process, with a session or more on each of {} node(s)",
        plan.target.nodes()
    )
}

/// What will not come out as planned.
pub(super) fn warnings(plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    for campaign in &plan.campaigns {
        let targets = count(campaign.targets.factory_members(plan).len());
        warnings.extend(too_slow(plan, campaign, targets));
        for rule in &campaign.aborts {
            if rule.min_executed > targets {
                warnings.push(format!(
                    "{}: an abort rule waits for {} executions, and there are {} targets: it never holds",
                    campaign.name,
                    grouped(u64::from(rule.min_executed)),
                    grouped(u64::from(targets))
                ));
            }
        }
    }
    warnings.extend(
        plan.commands
            .iter()
            .filter_map(|command| slow_command(plan, command)),
    );
    warnings.extend(plan.cohorts.iter().filter_map(closed_by_thingsboard));
    warnings
}

fn too_slow(plan: &Plan, campaign: &Campaign, targets: u32) -> Option<String> {
    if campaign.server == Server::External {
        return None;
    }
    let end = campaign.cancel.unwrap_or_else(|| plan.length());
    let left = end.saturating_sub(campaign.start);
    let paused = campaign.pauses.iter().map(|(from, to)| *to - *from).sum();
    let takes = campaign.least(plan, targets).saturating_add(paused);
    (takes > left).then(|| {
        format!(
            "{}: {} targets ({}) take {} at least, and {} are left from its start to the end: the others will not be reached",
            campaign.name,
            grouped(u64::from(targets)),
            WORDS.rollout(&campaign.rollout),
            about(takes),
            about(left)
        )
    })
}

fn slow_command(plan: &Plan, command: &FleetCommand) -> Option<String> {
    let targets = count(command.targets.factory_members(plan).len());
    let takes = Duration::try_from_secs_f64(f64::from(targets) / command.rate_per_s?).ok()?;
    let left = plan.length().saturating_sub(command.start);
    (takes > left).then(|| {
        format!(
            "{}: sending it to {} devices takes {}, and {} are left from its start to the end",
            command.name,
            grouped(u64::from(targets)),
            about(takes),
            about(left)
        )
    })
}

/// ThingsBoard says so on `v2/fw/error` and closes the connection: each attempt ends alike.
fn closed_by_thingsboard(cohort: &Cohort) -> Option<String> {
    let update = cohort.update.as_ref()?;
    let is_thingsboard = matches!(update.profile, WireProfile::Thingsboard { .. });
    (is_thingsboard && update.block_bytes > THINGSBOARD_CHUNK_MAX).then(|| {
        format!(
            "{}: ThingsBoard refuses chunks of more than {} bytes and closes the connection: its devices will reconnect and ask again without end",
            cohort.name,
            grouped(u64::from(THINGSBOARD_CHUNK_MAX))
        )
    })
}

fn count(devices: usize) -> u32 {
    u32::try_from(devices).expect("no more than there are devices, a u32")
}

/// A duration for people: three figures at most.
fn about(time: Duration) -> String {
    let secs = time.as_secs_f64();
    let mut text = String::new();
    let (value, unit) = match secs {
        secs if secs < 120.0 => (secs, "s"),
        secs if secs < 7_200.0 => (secs / 60.0, "min"),
        secs => (secs / 3_600.0, "h"),
    };
    write!(text, "{} {unit}", (value * 10.0).round() / 10.0).expect("a String accepts every write");
    text
}

#[cfg(test)]
mod tests;
