//! A worker process: owns devices and observers, or the operator, and gives them sockets, timers and
//! time.

use super::clock::Clock;
use super::control::{Command, PROTOCOL, Report, Role, Setup};
use super::findings;
use super::fleet::{self, Assignment, Fleet, Shared};
use super::hiccup;
use super::images::{self, ImageServer};
use super::outgoing::Outgoing;
use super::port::Routes;
use super::process;
use super::recording::Recording;
use super::teardown;
use super::timer::Alarm;
use crate::device;
use crate::scenario::file::{self, Secrets};
use crate::scenario::plan::{Plan, Target};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task;

/// Capacity of the channels between a worker and the transport of its coordinator.
pub const CONTROL_QUEUE: usize = 64;

/// Devices shut down before the connections get their turn.
const SHUTDOWNS_PER_TURN: usize = 256;

/// Runs a worker until it is `Done`, it fails, or `commands` ends (the coordinator is gone: then it
/// returns at once). To be called inside a current-thread runtime and a `LocalSet`, or inside
/// [`super::runtime`].
pub async fn run(
    setup: Setup,
    mut commands: mpsc::Receiver<Command>,
    reports: mpsc::Sender<Report>,
) {
    let outgoing = Outgoing::default();
    let mut carrier = task::spawn_local(outgoing.clone().carry(reports));
    tokio::select! {
        () = work(setup, &mut commands, &outgoing) => {
            outgoing.close();
            tokio::select! {
                _ = &mut carrier => {}
                () = closed(&mut commands) => {}
            }
        }
        // The coordinator does not listen any more.
        _ = &mut carrier => {}
    }
    carrier.abort();
}

/// Resolves when `commands` ends; commands that come now are too late.
async fn closed(commands: &mut mpsc::Receiver<Command>) {
    while commands.recv().await.is_some() {}
}

async fn work(setup: Setup, commands: &mut mpsc::Receiver<Command>, outgoing: &Outgoing) {
    let recording = match Recording::open(&setup) {
        Ok(recording) => recording,
        Err(error) => {
            outgoing.push(Report::EvidenceFailed(error.to_string()));
            return;
        }
    };
    let prepared = match prepare(setup, outgoing) {
        Ok(prepared) => prepared,
        Err(why) => {
            outgoing.push(Report::Failed(why));
            return;
        }
    };
    prepared.fleet.borrow_mut().recording = recording;
    outgoing.push(Report::Ready);
    let failure = Rc::clone(&prepared.fleet.borrow().failure);
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            () = failure.notified() => {
                if let Some(why) = prepared.fleet.borrow_mut().take_failure() {
                    outgoing.push(Report::Failed(why));
                }
                return;
            }
        };
        match command {
            Some(Command::Arm) => prepared.fleet.borrow_mut().arm(),
            Some(Command::Images(address)) => {
                prepared.fleet.borrow_mut().fetches.images = Some(address);
            }
            Some(Command::Start(start)) => {
                let (index, workers) = (prepared.index, prepared.workers);
                prepared
                    .fleet
                    .borrow_mut()
                    .begin(start, |device| device % workers == index);
            }
            Some(Command::Finish) => {
                finish(&prepared, commands, outgoing, prepared.clears_up).await;
                return;
            }
            Some(Command::Abort) => {
                abort(&prepared.fleet);
                finish(&prepared, commands, outgoing, false).await;
                return;
            }
            Some(Command::Exit) | None => return,
        }
    }
}

/// A worker that is ready for `Arm`. Dropping it closes all connections and ends all tasks.
struct Prepared {
    fleet: Shared,
    tasks: [task::JoinHandle<()>; 2],
    index: u32,
    workers: u32,
    clears_up: bool,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.fleet.borrow_mut().close_all();
    }
}

fn prepare(setup: Setup, outgoing: &Outgoing) -> Result<Prepared, String> {
    let plan = compile(&setup)?;
    let Role::Worker {
        index,
        workers,
        targets,
        image_servers,
        sources,
        keep_sessions,
        record_inputs: _,
    } = setup.role
    else {
        return Err("a worker was set up as a backend node".into());
    };
    if targets.len() != usize::from(plan.target.nodes()) {
        return Err(format!(
            "the plan has {} target nodes, but {} addresses were given",
            plan.target.nodes(),
            targets.len()
        ));
    }
    let is_operator = index == workers && plan.has_operator();
    if workers == 0 || (index >= workers && !is_operator) {
        return Err(format!("there is no worker {index} of {workers}"));
    }
    process::raise_file_limit()
        .map_err(|error| format!("the limit on open files could not be raised: {error}"))?;
    let clock = Clock::with_origin(setup.origin_ns);
    let alarm = Alarm::new(clock).map_err(|error| format!("no timer: {error}"))?;
    let alarm = Rc::new(alarm);
    let clears_up = !keep_sessions && !matches!(plan.target, Target::Embedded(_));
    let assignment = Assignment {
        owned: match is_operator {
            true => Vec::new(),
            false => (index..plan.devices()).step_by(workers as usize).collect(),
        },
        is_operator,
        plan: Arc::new(plan),
        run: setup.run,
        worker: index,
    };
    let routes = Routes::new(targets, sources);
    let fleet = Fleet::new(
        clock,
        Rc::clone(&alarm),
        assignment,
        routes,
        outgoing.clone(),
    );
    fleet.borrow_mut().fetches.servers = image_servers.into_iter().collect();
    if is_operator {
        serve_images(&fleet, outgoing)?;
    }
    let tasks = [
        task::spawn_local(fleet::drive_deadlines(Rc::clone(&fleet), alarm)),
        task::spawn_local(hiccup::watch(Rc::clone(&fleet))),
    ];
    Ok(Prepared {
        fleet,
        tasks,
        index,
        workers,
        clears_up,
    })
}

/// Starts the image server of the run, if devices download from it, and tells where.
fn serve_images(fleet: &Shared, outgoing: &Outgoing) -> Result<(), String> {
    let mut fleet = fleet.borrow_mut();
    let files = fleet.staff.as_ref().map(|staff| {
        let images = staff.operator.images();
        images.map(|(name, bytes)| (images::path_of(name), bytes))
    });
    if images::are_served(&fleet.plan) {
        let files = files.into_iter().flatten().collect();
        let server = ImageServer::start(files)
            .map_err(|error| format!("the image server could not start: {error}"))?;
        outgoing.push(Report::Serving(server.address));
        fleet.image_server = Some(server);
    }
    Ok(())
}

/// Compiles the plan of `setup`, which must be the coordinator's.
///
/// # Errors
/// A sentence for the report.
pub(super) fn compile(setup: &Setup) -> Result<Plan, String> {
    if setup.protocol != PROTOCOL {
        return Err(format!(
            "the coordinator speaks protocol {}, this process {PROTOCOL}",
            setup.protocol
        ));
    }
    let plan = file::parse(
        &setup.scenario_name,
        &setup.scenario_text,
        Path::new(&setup.base_dir),
        &setup.overrides,
        Secrets::Resolve,
    )
    .map_err(|errors| format!("{errors:?}"))?;
    if plan.hash != setup.plan_hash {
        return Err(format!(
            "the plan's hash is {}, the coordinator's {}",
            plan.hash, setup.plan_hash
        ));
    }
    Ok(plan)
}

/// No arrival is planned after this moment.
fn abort(fleet: &Shared) {
    let mut fleet = fleet.borrow_mut();
    let now = fleet.clock.now();
    if fleet.state.end_is_ahead() {
        fleet.stop_arrivals(now, now);
    }
}

/// Closes the books, ends all sessions, clears the target and says `Done`. A command that comes
/// meanwhile cuts the clearing short.
async fn finish(
    prepared: &Prepared,
    commands: &mut mpsc::Receiver<Command>,
    outgoing: &Outgoing,
    clear_up: bool,
) {
    let totals = {
        let mut fleet = prepared.fleet.borrow_mut();
        let now = fleet.clock.now();
        let totals = fleet.close_books(now);
        // What was recorded since the last second ended belongs to the series too.
        fleet.report_second(now);
        totals
    };
    shut_down(&prepared.fleet).await;
    prepared.fleet.borrow_mut().end_recording();
    findings::report_all(&prepared.fleet).await;
    let left = teardown::left_behind(&prepared.fleet.borrow());
    if prepared.clears_up && !left.is_empty() {
        let all = left.len();
        let cleared = if clear_up {
            tokio::select! {
                cleared = teardown::clear(&prepared.fleet, left) => cleared,
                _ = commands.recv() => 0,
            }
        } else {
            0
        };
        if cleared < all {
            outgoing.push(Report::Warning(format!(
                "{} of {all} sessions and their retained messages may be left on the target: {}",
                all - cleared,
                if clear_up {
                    "clearing them failed or took too long"
                } else {
                    "the run was interrupted"
                }
            )));
        }
    }
    outgoing.push(Report::Done(Box::new(totals)));
}

async fn shut_down(fleet: &Shared) {
    let devices = fleet.borrow().devices.len();
    for first in (0..devices).step_by(SHUTDOWNS_PER_TURN) {
        {
            let mut fleet = fleet.borrow_mut();
            for i in first..devices.min(first + SHUTDOWNS_PER_TURN) {
                let now = fleet.clock.now();
                fleet.step_device(i, now, now, device::Input::Shutdown);
                // Nothing is measured any more, so its DISCONNECT need not take its time.
                fleet.end_closing(i);
            }
        }
        task::yield_now().await;
    }
    let mut fleet = fleet.borrow_mut();
    for o in 0..fleet.observers.len() {
        let now = fleet.clock.now();
        fleet.step_observer(o, now, crate::cloud::observer::Input::Shutdown);
    }
    let now = fleet.clock.now();
    fleet.step_operator(now, crate::cloud::operator::Input::Shutdown);
}
