//! Table tests of the coordinator: the whole course of a run, and what ends one early.

use super::*;
use crate::scenario::campaign::{FleetQuery, Population};
use crate::scenario::fixture;

struct Bench {
    coordinator: Coordinator,
    now: Instant,
    out: Vec<Output>,
}

impl Bench {
    fn new(workers: u32, nodes: u16) -> Self {
        Self::of(fixture::plan(10), workers, nodes)
    }

    /// One whose plan has an operator, so that there is a worker more.
    fn with_operator(workers: u32, nodes: u16) -> Self {
        let mut plan = fixture::plan(10);
        plan.queries = vec![query()];
        Self::of(plan, workers, nodes)
    }

    fn of(plan: Plan, workers: u32, nodes: u16) -> Self {
        let coordinator = Coordinator::new(Arc::new(plan), workers, nodes, Instant::ZERO, || {
            "then".to_owned()
        });
        Self {
            coordinator,
            now: Instant::ZERO,
            out: Vec::new(),
        }
    }

    fn feed(&mut self, input: Input) -> Vec<String> {
        self.out.clear();
        self.coordinator
            .handle_input(self.now, input, &mut self.out);
        self.out
            .iter()
            .map(|output| format!("{output:?}"))
            .collect()
    }

    fn wait(&mut self, span: Duration) -> Vec<String> {
        self.now = self.now.after(span);
        self.feed(Input::Tick)
    }

    fn started(workers: u32, nodes: u16) -> Self {
        let mut bench = Self::new(workers, nodes);
        bench.start(workers);
        bench
    }

    fn start(&mut self, workers: u32) {
        for report in [Report::Ready, Report::Armed] {
            for index in 0..workers {
                assert!(self.coordinator.start().is_none());
                self.feed(Input::Worker(index, report.clone()));
            }
        }
        assert!(self.coordinator.start().is_some());
    }

    /// Lets time pass in half seconds, every worker speaking, until `state`.
    fn run_until(&mut self, state: State) {
        for _ in 0..10_000 {
            if self.coordinator.state == state {
                return;
            }
            for index in 0..self.coordinator.workers.len() {
                self.feed(Input::Worker(
                    u32::try_from(index).expect("few"),
                    Report::Drained(true),
                ));
            }
            self.wait(Duration::from_millis(500));
        }
        panic!("never reached {state:?}");
    }
}

fn query() -> FleetQuery {
    FleetQuery {
        name: "old-firmware".into(),
        phase: 1,
        start: Duration::from_secs(10),
        end: Duration::from_secs(70),
        every: None,
        targets: Population::default(),
        max_age: None,
        timeout: Duration::from_secs(5),
    }
}

fn done() -> Report {
    Report::Done(Box::default())
}

fn mentions(said: &[String], text: &str) -> bool {
    said.iter().any(|line| line.contains(text))
}

#[test]
fn a_run_goes_its_whole_course() {
    let mut bench = Bench::new(2, 1);
    assert!(bench.feed(Input::Worker(0, Report::Ready)).is_empty());
    let said = bench.feed(Input::Worker(1, Report::Ready));
    assert!(mentions(&said, "ToWorker(0, Arm)") && mentions(&said, "ToWorker(1, Arm)"));
    bench.feed(Input::Worker(0, Report::Armed));
    let said = bench.feed(Input::Worker(1, Report::Armed));
    assert!(mentions(&said, "Started") && mentions(&said, "ToNode(0, Start"));
    bench.run_until(State::Finishing);
    bench.feed(Input::Worker(0, done()));
    let said = bench.feed(Input::Worker(1, done()));
    assert!(mentions(&said, "ToNode(0, Exit)"));
    let said = bench.feed(Input::Node(
        0,
        Report::BackendDone {
            counts: BTreeMap::new(),
            errors: vec![],
        },
    ));
    assert!(mentions(&said, "Outcome") && mentions(&said, "Finished(Ran)"));
    assert!(mentions(&said, "drain_complete: true"));
}

#[test]
fn a_killed_worker_is_named_and_stops_the_run() {
    let mut bench = Bench::started(2, 0);
    bench.wait(Duration::from_secs(1));
    let said = bench.feed(Input::WorkerExited(1, "killed by signal 9".into()));
    assert!(
        mentions(&said, "Lost { process: \"worker 1\"") && mentions(&said, "killed by signal 9")
    );
    assert!(mentions(&said, "ToWorker(0, Abort)") && !mentions(&said, "ToWorker(1"));
    let said = bench.feed(Input::Worker(0, done()));
    assert!(mentions(&said, "Finished(Ran)"));
}

#[test]
fn a_silent_worker_is_lost_after_three_seconds() {
    let mut bench = Bench::started(2, 0);
    let start = bench.coordinator.start().expect("started");
    bench.now = start.after(Duration::from_millis(2_900));
    bench.feed(Input::Worker(0, Report::Drained(false)));
    assert!(!mentions(&bench.feed(Input::Tick), "Lost"));
    let said = bench.wait(Duration::from_millis(200));
    assert!(mentions(&said, "Lost { process: \"worker 1\"") && mentions(&said, "silent for 3 s"));
}

#[test]
fn an_interrupt_ends_in_a_partial_outcome() {
    let mut bench = Bench::started(1, 0);
    bench.wait(Duration::from_secs(1));
    let said = bench.feed(Input::Signal(2));
    assert!(mentions(&said, "Interrupted") && mentions(&said, "Abort"));
    // A worker that never answers does not keep the report.
    let said = bench.wait(ABORT_LIMIT + Duration::from_millis(1));
    assert!(mentions(&said, "no totals within"));
    assert!(
        mentions(&said, "Finished(Ran)") || mentions(&bench.feed(Input::Tick), "Finished(Ran)")
    );
}

#[test]
fn what_fails_before_the_start_is_not_a_run() {
    for (input, why) in [
        (
            Input::Worker(0, Report::Failed("cannot arm".into())),
            "cannot arm",
        ),
        (
            Input::WorkerExited(1, "exit status 1".into()),
            "ended before the start",
        ),
        (
            Input::NodeExited(0, "exit status 1".into()),
            "backend node 0",
        ),
    ] {
        let mut bench = Bench::new(2, 1);
        let said = bench.feed(input);
        assert!(
            mentions(&said, "NotStarted") && mentions(&said, why),
            "{said:?}"
        );
    }
    let mut bench = Bench::new(1, 0);
    assert!(mentions(
        &bench.feed(Input::Signal(15)),
        "StoppedBeforeStart(15)"
    ));
    let mut bench = Bench::new(1, 0);
    assert!(mentions(
        &bench.wait(READY_LIMIT + Duration::from_secs(1)),
        "not ready within"
    ));
}

#[test]
fn evidence_that_cannot_be_written_ends_the_run_whenever_it_is() {
    let failed = || Input::Worker(1, Report::EvidenceFailed("no space".into()));
    let ending = "Finished(Unwritten(\"worker 1: no space\"))";
    assert!(mentions(&Bench::new(2, 1).feed(failed()), ending));
    for state in [State::Running, State::Draining, State::Finishing] {
        let mut bench = Bench::started(2, 1);
        bench.run_until(state);
        assert!(mentions(&bench.feed(failed()), ending), "{state:?}");
        // Once is enough.
        assert!(bench.feed(failed()).is_empty());
    }
}

#[test]
fn a_lost_node_stops_the_run() {
    let mut bench = Bench::started(1, 2);
    let said = bench.feed(Input::NodeExited(1, "killed by signal 9".into()));
    assert!(
        mentions(&said, "Lost { process: \"backend node 1\"")
            && mentions(&said, "ToWorker(0, Abort)")
    );
    let said = bench.feed(Input::Worker(0, done()));
    assert!(mentions(&said, "ToNode(0, Exit)") && !mentions(&said, "ToNode(1, Exit)"));
}

#[test]
fn the_drain_has_a_limit() {
    let mut bench = Bench::started(1, 0);
    for _ in 0..100_000 {
        if bench.coordinator.state == State::Finishing {
            break;
        }
        bench.feed(Input::Worker(0, Report::Drained(false)));
        bench.wait(Duration::from_millis(500));
    }
    let said = bench.feed(Input::Worker(0, done()));
    assert!(mentions(&said, "drain_complete: false"));
}

#[test]
fn the_operator_is_one_worker_more_and_is_waited_for() {
    let mut bench = Bench::with_operator(2, 0);
    for index in 0..2 {
        bench.feed(Input::Worker(index, Report::Ready));
    }
    let said = bench.feed(Input::Worker(2, Report::Ready));
    assert!(mentions(&said, "ToWorker(2, Arm)"));
    for index in 0..2 {
        bench.feed(Input::Worker(index, Report::Armed));
    }
    assert!(bench.coordinator.start().is_none());
    let said = bench.feed(Input::Worker(2, Report::Armed));
    assert!(mentions(&said, "ToWorker(2, Start"));
    // It drains as any other: it has its word in when the drain is over.
    while bench.coordinator.state != State::Draining {
        for index in 0..3 {
            bench.feed(Input::Worker(index, Report::Drained(index < 2)));
        }
        bench.wait(Duration::from_millis(500));
    }
    for _ in 0..15 {
        for index in 0..3 {
            bench.feed(Input::Worker(index, Report::Drained(index < 2)));
        }
        bench.wait(Duration::from_secs(1));
    }
    assert_eq!(bench.coordinator.state, State::Draining);
    bench.run_until(State::Finishing);
    for index in 0..2 {
        assert!(!mentions(
            &bench.feed(Input::Worker(index, done())),
            "Finished"
        ));
    }
    assert!(mentions(
        &bench.feed(Input::Worker(2, done())),
        "Finished(Ran)"
    ));
}

#[test]
fn where_images_are_served_is_told_before_the_start() {
    let address = SocketAddr::from(([127, 0, 0, 1], 8_080));
    let mut bench = Bench::with_operator(1, 0);
    bench.feed(Input::Worker(1, Report::Serving(address)));
    for index in 0..2 {
        bench.feed(Input::Worker(index, Report::Ready));
    }
    bench.feed(Input::Worker(0, Report::Armed));
    let said = bench.feed(Input::Worker(1, Report::Armed));
    let place = |word: &str| said.iter().position(|line| line.contains(word));
    let images = place("ToWorker(0, Images(127.0.0.1:8080))").expect("it is told");
    assert!(images < place("ToWorker(0, Start").expect("it starts"));
    let mut bench = Bench::with_operator(1, 0);
    bench.start(2);
    assert!(
        !bench
            .out
            .iter()
            .any(|out| matches!(out, Output::ToWorker(_, Command::Images(_))))
    );
}

#[test]
fn a_killed_operator_is_named_and_stops_the_run() {
    let mut bench = Bench::with_operator(1, 0);
    bench.start(2);
    bench.wait(Duration::from_secs(1));
    let said = bench.feed(Input::WorkerExited(1, "killed by signal 9".into()));
    assert!(mentions(&said, "Lost { process: \"operator\"") && mentions(&said, "signal 9"));
    assert!(mentions(&said, "ToWorker(0, Abort)") && !mentions(&said, "ToWorker(1"));
    assert!(mentions(
        &bench.feed(Input::Worker(0, done())),
        "Finished(Ran)"
    ));
}

#[test]
fn an_interrupt_waits_for_what_the_operator_writes_down() {
    let mut bench = Bench::with_operator(1, 0);
    bench.start(2);
    bench.wait(Duration::from_secs(1));
    let said = bench.feed(Input::Signal(2));
    assert!(mentions(&said, "ToWorker(1, Abort)"));
    assert!(!mentions(&bench.feed(Input::Worker(0, done())), "Finished"));
    let started = Finding::CommandStarted {
        command: 0,
        at: Instant::ZERO,
        targets: 3,
    };
    let said = bench.feed(Input::Worker(1, Report::Findings(vec![started])));
    assert!(mentions(&said, "Findings([CommandStarted") && !mentions(&said, "Finished"));
    assert!(mentions(
        &bench.feed(Input::Worker(1, done())),
        "Finished(Ran)"
    ));
}

#[test]
fn a_refused_operator_keeps_the_run_from_starting() {
    let mut bench = Bench::with_operator(1, 0);
    let refused = Report::Failed("the target refuses".into());
    let said = bench.feed(Input::Worker(1, refused));
    assert!(
        mentions(&said, "NotStarted(\"operator: the target refuses\")"),
        "{said:?}"
    );
}
