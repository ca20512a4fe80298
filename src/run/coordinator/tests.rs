//! Table tests of the coordinator: the whole course of a run, and what ends one early.

use super::*;
use crate::scenario::fixture;

struct Bench {
    coordinator: Coordinator,
    now: Instant,
    out: Vec<Output>,
}

impl Bench {
    fn new(workers: u32, nodes: u16) -> Self {
        let plan = Arc::new(fixture::plan(10));
        let coordinator =
            Coordinator::new(plan, workers, nodes, Instant::ZERO, || "then".to_owned());
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
        for index in 0..workers {
            bench.feed(Input::Worker(index, Report::Ready));
        }
        for index in 0..workers {
            bench.feed(Input::Worker(index, Report::Armed));
        }
        assert!(bench.coordinator.start().is_some());
        bench
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
