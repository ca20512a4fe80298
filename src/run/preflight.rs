//! Preflight: what the run needs against what this machine has, whether the target may be loaded
//! and whether it answers. Says exactly what is missing and how to get it. All but [`probe`] and
//! [`resolve`] is arithmetic and sends no packet.

use super::host::Limits;
use crate::cloud::observer::DEVICES_MAX;
use crate::cloud::operator::Operator;
use crate::device::payload;
use crate::live::{are_served, authority_of};
use crate::mqtt::codec;
use crate::mqtt::packet::{Connect, ConnectCode, Packet};
use crate::scenario::plan::{Cohort, DeviceIdx, Plan, Target};
use crate::scenario::update::{GenericAction, WireProfile};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// Descriptors a worker needs besides its connections: pipes, timer, epoll, and room to spare.
const FDS_SPARE: u64 = 256;
/// Connections per source and destination address on loopback: beyond it, the kernel's search for
/// a free port is what limits connects per second.
pub const DEVICES_PER_SOURCE_MAX: u32 = 6_000;
/// User and kernel memory of one connected device in a worker, in bytes (2 KiB by the design's bar,
/// 3.7 KiB of kernel socket structures).
const WORKER_BYTES_PER_DEVICE: u64 = 5_900;
/// What a device behind a link needs besides, in bytes: the link's state, and room for small packets
/// under way in both directions.
const LINK_BYTES_PER_DEVICE: u64 = 1_300;
/// User and kernel memory of one connection in the embedded target, with the state of its session.
const NODE_BYTES_PER_DEVICE: u64 = 6_300;
/// User and kernel memory of one download over HTTP, at both ends together: their read buffers of
/// 16 KiB and 8 KiB, a piece or two, and kernel socket structures.
const BYTES_PER_DOWNLOAD: u64 = 48 << 10;
/// A process without devices, its histograms included, in bytes.
const PROCESS_BYTES: u64 = 16 << 20;
/// Longest wait for a target to accept and answer one CONNECT.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Devices that a target off this machine may get without being named on the command line.
pub const UNNAMED_DEVICES_MAX: u32 = 1_000;

/// Why the run does not begin. Each problem is one line with its remedy.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct PreflightError {
    /// What is missing, and what to do.
    pub problems: Vec<String>,
}

impl PreflightError {
    /// An error with one problem.
    pub fn one(problem: String) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

/// How a plan is laid out over processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Worker processes; worker r owns the devices i with i mod `workers` = r. The operator's comes on
    /// top.
    pub workers: u32,
    /// Devices of the largest worker.
    pub devices_per_worker: u32,
    /// Observer sessions of all workers together, at most.
    pub observers: u32,
    /// Sessions of the operator, 0 if the plan has none.
    pub desks: u32,
    /// Devices that may download over HTTP at a time.
    pub downloads: u32,
    /// Connections that blackholes may leave half-open at a time, of all workers together.
    pub half_open: u32,
    /// Nodes of the embedded target, 0 for brokers.
    pub embedded_nodes: u16,
    /// Descriptors of the largest worker.
    pub worker_fds: u64,
    /// Descriptors of the operator's process, 0 if the plan has none.
    pub operator_fds: u64,
    /// Descriptors of the largest embedded node, 0 for brokers.
    pub node_fds: u64,
    /// User and kernel memory of all processes, in bytes.
    pub memory_bytes: u64,
}

/// Lays `plan` out over processes; `workers` is the user's wish.
///
/// # Errors
/// If this machine cannot hold it, with every reason at once.
pub fn layout(
    plan: &Plan,
    limits: &Limits,
    workers: Option<u32>,
) -> Result<Layout, PreflightError> {
    let devices = plan.devices();
    let nodes = u32::from(plan.target.nodes());
    let wish = workers
        .unwrap_or_else(|| smallest_fit(plan, limits))
        .clamp(1, devices.max(1));
    let devices_per_worker = devices.div_ceil(wish);
    let per_worker_observers = observers_of(plan, devices_per_worker, nodes);
    let embedded_nodes = match &plan.target {
        Target::Embedded(embedded) => embedded.nodes,
        Target::Brokers(_) => 0,
    };
    let node_devices = if embedded_nodes == 0 {
        0
    } else {
        largest_node(plan)
    };
    let observers = per_worker_observers * wish;
    let silenced = plan.may_leave_half_open();
    let half_open = number(silenced.len());
    let downloading = downloading(plan);
    let downloads = number(downloading.len());
    let desks = desks(plan);
    let served = if are_served(plan) { downloads } else { 0 };
    let processes = u64::from(wish) + u64::from(embedded_nodes) + 1 + u64::from(!desks.is_empty());
    let layout = Layout {
        workers: wish,
        devices_per_worker,
        observers,
        desks: number(desks.len()),
        downloads,
        half_open,
        embedded_nodes,
        operator_fds: match desks.len() {
            0 => 0,
            desks => desks as u64 + u64::from(served) + FDS_SPARE,
        },
        worker_fds: u64::from(devices_per_worker + per_worker_observers)
            + u64::from(largest(&silenced, wish, |device| device % wish))
            + u64::from(largest(&downloading, wish, |device| device % wish))
            + FDS_SPARE,
        node_fds: if embedded_nodes == 0 {
            0
        } else {
            u64::from(node_devices + observers.div_ceil(nodes))
                + u64::from(largest(&desks, nodes, |node| node))
                + u64::from(largest(&silenced, nodes, |device| {
                    u32::from(plan.home_node(device))
                }))
                + FDS_SPARE
        },
        memory_bytes: u64::from(devices + half_open) * WORKER_BYTES_PER_DEVICE
            + behind_link(plan) * LINK_BYTES_PER_DEVICE
            + if embedded_nodes == 0 {
                0
            } else {
                u64::from(devices + half_open) * NODE_BYTES_PER_DEVICE
            }
            + u64::from(downloads) * BYTES_PER_DOWNLOAD
            + processes * PROCESS_BYTES,
    };
    let problems = problems(&layout, limits);
    if problems.is_empty() {
        Ok(layout)
    } else {
        Err(PreflightError { problems })
    }
}

/// The node of each session of the operator of `plan`.
fn desks(plan: &Plan) -> Vec<u32> {
    let desks = plan.has_operator().then(|| Operator::desks_of(plan));
    desks.into_iter().flatten().map(u32::from).collect()
}

/// The devices that download over HTTP in a campaign, ascending: perhaps all at a time.
fn downloading(plan: &Plan) -> Vec<DeviceIdx> {
    if plan.campaigns.is_empty() {
        return Vec::new();
    }
    let cohorts = plan
        .cohorts
        .iter()
        .filter(|cohort| generic_action(cohort).is_some());
    cohorts
        .flat_map(|cohort| cohort.first..cohort.first + cohort.devices)
        .collect()
}

fn generic_action(cohort: &Cohort) -> Option<&GenericAction> {
    match &cohort.update.as_ref()?.profile {
        WireProfile::GenericAction(action) => Some(action),
        WireProfile::AwsJobs { .. } | WireProfile::Thingsboard { .. } => None,
    }
}

/// Number of devices whose cohort has a link, or whose link a fault degrades.
fn behind_link(plan: &Plan) -> u64 {
    let cohorts = plan.cohorts.iter().filter(|cohort| cohort.link.is_some());
    let linked: u64 = cohorts.map(|cohort| u64::from(cohort.devices)).sum();
    let mut degraded = plan.degraded();
    degraded.retain(|device| plan.cohorts[plan.cohort_of(*device)].link.is_none());
    linked + degraded.len() as u64
}

fn problems(layout: &Layout, limits: &Limits) -> Vec<String> {
    let mut problems = Vec::new();
    let nofile = limits.nofile_hard;
    if layout.worker_fds > nofile {
        problems.push(format!(
            "{} workers need {} open files each, this machine allows {nofile} per process: use --workers {} or more, or raise the hard limit (ulimit -Hn, LimitNOFILE=)",
            layout.workers,
            layout.worker_fds,
            (u64::from(layout.workers) * layout.worker_fds).div_ceil(nofile.saturating_sub(FDS_SPARE).max(1)),
        ));
    }
    if layout.operator_fds > nofile {
        problems.push(format!(
            "the operator and the image server need {} open files, this machine allows {nofile} per process: name a `server` in the scenario's update profile, or raise the hard limit (ulimit -Hn, LimitNOFILE=)",
            layout.operator_fds,
        ));
    }
    if layout.node_fds > nofile {
        problems.push(format!(
            "the largest node of the embedded target needs {} open files, this machine allows {nofile} per process: raise `nodes` in the scenario's target, or the hard limit (ulimit -Hn, LimitNOFILE=)",
            layout.node_fds,
        ));
    }
    if layout.memory_bytes > limits.memory_available_bytes {
        problems.push(format!(
            "the run needs about {} MiB of memory, {} MiB are available: fewer --devices, or another machine",
            layout.memory_bytes >> 20,
            limits.memory_available_bytes >> 20,
        ));
    }
    problems
}

/// As many workers as cores, or as the limit of open files demands.
fn smallest_fit(plan: &Plan, limits: &Limits) -> u32 {
    let devices = u64::from(plan.devices());
    let nodes = u64::from(plan.target.nodes());
    let room = limits.nofile_hard.saturating_sub(FDS_SPARE + nodes).max(1);
    // One observer per DEVICES_MAX devices, and one partly filled per node.
    let with_observers = devices + devices.div_ceil(DEVICES_MAX as u64);
    let demanded = with_observers.div_ceil(room);
    let cores = u64::try_from(limits.cores).unwrap_or(1);
    let wish = u32::try_from(demanded.max(cores)).unwrap_or(u32::MAX);
    with_more_connections(plan, wish, room)
}

/// `wish` workers, or as many more as have room for what blackholes leave half-open and for downloads,
/// which need not be spread evenly.
fn with_more_connections(plan: &Plan, wish: u32, room: u64) -> u32 {
    let more = [plan.may_leave_half_open(), downloading(plan)];
    let fits = |workers: u32| {
        let devices = u64::from(plan.devices().div_ceil(workers));
        let of_kind = |kind: &Vec<DeviceIdx>| u64::from(largest(kind, workers, |d| d % workers));
        let besides: u64 = more.iter().map(of_kind).sum();
        devices + devices.div_ceil(DEVICES_MAX as u64) + besides <= room
    };
    let kinds = more.iter().filter(|kind| !kind.is_empty()).count();
    // Each device has one connection of each kind.
    let most = wish.saturating_mul(1 + number(kinds));
    let mut more = wish..=most;
    match kinds {
        0 => wish,
        _ => more.find(|workers| fits(*workers)).unwrap_or(wish),
    }
}

fn observers_of(plan: &Plan, devices: u32, nodes: u32) -> u32 {
    if !plan.observe.ledger || plan.observe.devices == 0 {
        return 0;
    }
    let most = u32::try_from(DEVICES_MAX).expect("a small constant");
    let split = if plan.target.is_cluster() { 1 } else { nodes };
    devices.div_ceil(most) + split
}

/// Exact number of devices on the fullest node.
fn largest_node(plan: &Plan) -> u32 {
    let devices: Vec<DeviceIdx> = (0..plan.devices()).collect();
    let nodes = u32::from(plan.target.nodes());
    largest(&devices, nodes, |device| u32::from(plan.home_node(device)))
}

/// Of `devices`, the number in the fullest of `groups` groups.
fn largest(devices: &[DeviceIdx], groups: u32, group_of: impl Fn(DeviceIdx) -> u32) -> u32 {
    let mut counts = vec![0u32; groups as usize];
    for device in devices {
        counts[group_of(*device) as usize] += 1;
    }
    counts.into_iter().max().unwrap_or(0)
}

fn number(devices: usize) -> u32 {
    u32::try_from(devices).expect("no more than there are devices, a u32")
}

/// Source addresses of worker `index`: on loopback, enough of 127.0.0.0/8 that no pair of source
/// and destination carries more than [`DEVICES_PER_SOURCE_MAX`] devices; else what the user gave.
///
/// # Errors
/// If the user's source addresses have too few ports for the fleet.
pub fn sources(
    plan: &Plan,
    targets: &[SocketAddr],
    layout: &Layout,
    limits: &Limits,
    given: &[IpAddr],
    index: u32,
) -> Result<Vec<IpAddr>, PreflightError> {
    let nodes = u32::from(plan.target.nodes());
    if given.is_empty()
        && targets
            .iter()
            .all(|target| target.is_ipv4() && target.ip().is_loopback())
    {
        let count = layout
            .devices_per_worker
            .div_ceil(nodes)
            .div_ceil(DEVICES_PER_SOURCE_MAX)
            .max(1);
        // 127.16.0.1 onwards, well away from what others may have bound.
        return Ok((0..count)
            .map(|k| {
                let host = (index * count + k) % 0x00ef_ffff + 1;
                IpAddr::V4(Ipv4Addr::from(0x7f10_0000 + host))
            })
            .collect());
    }
    let addresses = u32::try_from(given.len().max(1)).unwrap_or(u32::MAX);
    // All workers share the user's addresses, so the bound is over the whole fleet.
    let connections = plan.devices() + layout.half_open;
    let per_pair = connections.div_ceil(nodes).div_ceil(addresses);
    if per_pair > limits.ports {
        return Err(PreflightError::one(format!(
            "{} connections over {} source and {} target addresses need {per_pair} ports each, the kernel has {}: name more addresses of this machine with --source-ip",
            connections, addresses, nodes, limits.ports,
        )));
    }
    Ok(given.to_vec())
}

/// Whether each source address is one of this machine's and of the targets' family.
///
/// # Errors
/// If a source address cannot be used, each with the reason.
pub fn check_sources(targets: &[SocketAddr], given: &[IpAddr]) -> Result<(), PreflightError> {
    let mut problems = Vec::new();
    for source in given {
        if let Err(error) = TcpListener::bind((*source, 0)) {
            problems.push(format!(
                "--source-ip {source} is not usable on this machine: {error}"
            ));
        }
        if let Some(target) = targets.iter().find(|t| t.is_ipv4() != source.is_ipv4()) {
            problems.push(format!(
                "--source-ip {source} and the target {target} are of different address families"
            ));
        }
    }
    refuse_if_any(problems)
}

fn refuse_if_any(problems: Vec<String>) -> Result<(), PreflightError> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(PreflightError { problems })
    }
}

/// Resolves each broker address once; the first address of each name is pinned for the run.
///
/// # Errors
/// If a name does not resolve.
pub fn resolve(plan: &Plan) -> Result<Vec<SocketAddr>, PreflightError> {
    let Target::Brokers(brokers) = &plan.target else {
        return Ok(Vec::new());
    };
    let mut problems = Vec::new();
    let mut addresses = Vec::new();
    for url in &brokers.urls {
        match (url.host.as_str(), url.port)
            .to_socket_addrs()
            .map(|mut all| all.next())
        {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => problems.push(format!("{} has no address", url.host)),
            Err(error) => problems.push(format!("cannot resolve {}: {error}", url.host)),
        }
    }
    if problems.is_empty() {
        Ok(addresses)
    } else {
        Err(PreflightError { problems })
    }
}

/// Resolves each server that devices download images from once, by `host:port`.
///
/// # Errors
/// If one is no `http://` address, or its name does not resolve.
pub fn image_servers(plan: &Plan) -> Result<Vec<(String, SocketAddr)>, PreflightError> {
    let mut problems = Vec::new();
    let mut servers: BTreeMap<String, SocketAddr> = BTreeMap::new();
    let named = plan.cohorts.iter().filter_map(generic_action);
    for url in named.filter_map(|action| action.server.as_deref()) {
        let Some(authority) = authority_of(url) else {
            problems.push(format!("the image server {url} is no http:// address"));
            continue;
        };
        if servers.contains_key(&authority) {
            continue;
        }
        match authority.to_socket_addrs().map(|mut all| all.next()) {
            Ok(Some(address)) => drop(servers.insert(authority, address)),
            Ok(None) => problems.push(format!("{authority} has no address")),
            Err(error) => problems.push(format!("cannot resolve {authority}: {error}")),
        }
    }
    refuse_if_any(problems)?;
    Ok(servers.into_iter().collect())
}

/// Refuses many downloads from a host that nobody named.
///
/// # Errors
/// As [`check_allowed`].
pub fn check_servers_allowed(
    plan: &Plan,
    servers: &[(String, SocketAddr)],
    allowed: &[String],
) -> Result<(), PreflightError> {
    let downloads = downloading(plan).len();
    let is_large = number(downloads) > UNNAMED_DEVICES_MAX;
    let host = |authority: &str| {
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        host.to_owned()
    };
    let problems = servers
        .iter()
        .filter(|(authority, address)| {
            is_large && !address.ip().is_loopback() && !allowed.contains(&host(authority))
        })
        .map(|(authority, address)| {
            format!(
                "the image server {authority} ({}) is not this machine, and {downloads} devices are more than {UNNAMED_DEVICES_MAX}: if you may load it, say --allow-target {}",
                address.ip(),
                host(authority),
            )
        })
        .collect();
    refuse_if_any(problems)
}

/// Refuses a large fleet against a host that nobody named.
///
/// # Errors
/// If a target is not on this machine, gets more than [`UNNAMED_DEVICES_MAX`] devices, and its host
/// is not among `allowed`.
pub fn check_allowed(
    plan: &Plan,
    targets: &[SocketAddr],
    allowed: &[String],
) -> Result<(), PreflightError> {
    let Target::Brokers(brokers) = &plan.target else {
        return Ok(());
    };
    let problems: Vec<String> = brokers
        .urls
        .iter()
        .zip(targets)
        .filter(|(url, address)| {
            !address.ip().is_loopback() && plan.devices() > UNNAMED_DEVICES_MAX && !allowed.contains(&url.host)
        })
        .map(|(url, address)| {
            format!(
                "{} ({}) is not this machine, and {} devices are more than {UNNAMED_DEVICES_MAX}: if you may load it, say --allow-target {}",
                url.host,
                address.ip(),
                plan.devices(),
                url.host,
            )
        })
        .collect();
    refuse_if_any(problems)
}

/// Connects once to each target, with the first device's credentials, and leaves again.
///
/// # Errors
/// If a target does not accept the connection, does not answer the CONNECT with a CONNACK within
/// 5 s, or refuses it.
pub fn probe(plan: &Plan, targets: &[SocketAddr], run: u32) -> Result<(), PreflightError> {
    let Target::Brokers(brokers) = &plan.target else {
        return Ok(());
    };
    let names = payload::names(plan, 0, run);
    let text = |template: &Option<crate::scenario::template::Template>| {
        template.as_ref().map(|t| t.to_text(&names))
    };
    let connect = Packet::Connect(Box::new(Connect {
        client_id: format!("fs-probe-{run:08x}"),
        clean_session: true,
        keep_alive_s: 30,
        will: None,
        username: text(&brokers.auth.username),
        password: text(&brokers.auth.password),
    }));
    let connect = &connect;
    // One thread per target, so that several dead ones cost one timeout together.
    let problems: Vec<String> = std::thread::scope(|scope| {
        let probes: Vec<_> = targets
            .iter()
            .map(|target| {
                scope.spawn(move || {
                    probe_one(*target, connect)
                        .err()
                        .map(|why| format!("target {target} {why}"))
                })
            })
            .collect();
        probes
            .into_iter()
            .filter_map(|probe| probe.join().expect("a probe does not panic"))
            .collect()
    });
    refuse_if_any(problems)
}

fn probe_one(target: SocketAddr, connect: &Packet<'_>) -> Result<(), String> {
    let mut stream = TcpStream::connect_timeout(&target, PROBE_TIMEOUT)
        .map_err(|error| format!("is not reachable: {error}"))?;
    let mut bytes = Vec::new();
    codec::encode(connect, &mut bytes).map_err(|error| format!("cannot be asked: {error}"))?;
    let talk = |stream: &mut TcpStream| -> std::io::Result<Vec<u8>> {
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
        stream.write_all(&bytes)?;
        // A CONNACK is four bytes (MQTT 3.1.1 section 3.2).
        let mut answer = vec![0; 4];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    let answer = talk(&mut stream).map_err(|error| {
        let kind = error.kind();
        if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            let limit_s = PROBE_TIMEOUT.as_secs();
            format!("accepts connections but sends no CONNACK within {limit_s} s")
        } else if matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) {
            "accepts connections but closes them on a CONNECT".to_owned()
        } else {
            format!("accepts connections but does not answer a CONNECT: {error}")
        }
    })?;
    let mut leave = Vec::new();
    if codec::encode(&Packet::Disconnect, &mut leave).is_ok() {
        // The probe is over either way; a peer that has gone does not mind.
        let _ = stream.write_all(&leave);
    }
    match codec::decode(&answer, answer.len()) {
        Ok(Some((
            Packet::ConnAck {
                code: ConnectCode::Accepted,
                ..
            },
            _,
        ))) => Ok(()),
        Ok(Some((Packet::ConnAck { code, .. }, _))) => Err(format!(
            "refuses the first device: CONNACK {} ({code:?})",
            code as u8
        )),
        Ok(_) => Err("answers a CONNECT with another packet than CONNACK".into()),
        Err(error) => Err(format!(
            "answers a CONNECT with what is not MQTT 3.1.1: {error}"
        )),
    }
}

#[cfg(test)]
mod tests;
