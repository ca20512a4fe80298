//! The service law of the embedded target in words: what work costs, and how much of it the nodes
//! can do.

use super::grouped;
use crate::scenario::plan::{Embedded, GoneClients, Plan, ServiceTime, Target};
use std::fmt::Write as _;

/// The law and its capacity in one line; `None` if work costs nothing.
pub(super) fn line(embedded: &Embedded) -> Option<String> {
    let service = embedded.service?;
    let workers = counted(u64::from(service.workers), "worker");
    let mut line = format!(
        "{workers} per node, {} may wait",
        counted(u64::from(service.queue), "job")
    );
    for (packet, work) in [("CONNECT", service.connect), ("PUBLISH", service.publish)] {
        if let Some(work) = work {
            let capacity = per_s(service.capacity_per_s(&work, embedded.nodes));
            write!(line, "; {packet} {}, at most {capacity}/s", time(&work))
                .expect("a String accepts every write");
        }
    }
    Some(line)
}

/// What becomes of work whose client has left, if it is not passed over.
pub(super) const fn gone_clients(embedded: &Embedded) -> &'static str {
    match embedded.gone_clients {
        GoneClients::Skip => "",
        GoneClients::Serve => ", serves clients that have left",
    }
}

/// What will disappoint: more work in the long run than the workers can do.
pub(super) fn warning(plan: &Plan) -> Option<String> {
    let Target::Embedded(embedded) = &plan.target else {
        return None;
    };
    let service = embedded.service?;
    let capacity = service.capacity_per_s(&service.publish?, embedded.nodes);
    let rate = plan.rate_per_s();
    (rate >= capacity).then(|| {
        format!(
            "{} messages/s on average are {:.0} % of what the workers can do: their queue fills up",
            per_s(rate),
            100.0 * rate / capacity
        )
    })
}

fn time(work: &ServiceTime) -> String {
    match work {
        ServiceTime::Fixed(time) => format!("fixed {time:?}"),
        ServiceTime::Exponential(mean) => format!("exponential, {mean:?} on average"),
        ServiceTime::Bimodal {
            fast,
            slow,
            slow_share,
        } => format!("{fast:?}, or {slow:?} for {:.4} %", slow_share * 100.0),
    }
}

fn per_s(rate: f64) -> String {
    if rate < 100.0 {
        return format!("{rate:.1}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive rate; a float cast saturates"
    )]
    grouped(rate.round() as u64)
}

fn counted(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fixture;
    use crate::scenario::plan::Service;
    use std::time::Duration;

    fn embedded(service: Option<Service>) -> Embedded {
        Embedded {
            nodes: 2,
            accept_rate_per_s: None,
            accept_queue: 0,
            service,
            gone_clients: GoneClients::Skip,
        }
    }

    #[test]
    fn the_law_is_one_line_with_its_capacity() {
        let us = Duration::from_micros;
        let service = |workers, connect, publish| Service {
            workers,
            connect,
            publish,
            queue: 10_000,
        };
        let bimodal = ServiceTime::Bimodal {
            fast: us(2_000),
            slow: us(202_000),
            slow_share: 0.01,
        };
        let table = [
            (
                service(
                    8,
                    Some(ServiceTime::Exponential(us(1_000))),
                    Some(ServiceTime::Fixed(us(50))),
                ),
                "8 workers per node, 10 000 jobs may wait; CONNECT exponential, 1ms on average, at most \
                 16 000/s; PUBLISH fixed 50µs, at most 320 000/s",
            ),
            (
                service(1, None, Some(ServiceTime::Fixed(us(100_000)))),
                "1 worker per node, 10 000 jobs may wait; PUBLISH fixed 100ms, at most 20.0/s",
            ),
            (
                service(1, Some(bimodal), None),
                "1 worker per node, 10 000 jobs may wait; CONNECT 2ms, or 202ms for 1.0000 %, at most 500/s",
            ),
        ];
        for (service, text) in table {
            assert_eq!(line(&embedded(Some(service))).as_deref(), Some(text));
        }
        assert_eq!(line(&embedded(None)), None);
    }

    #[test]
    fn more_work_than_the_workers_can_do_is_a_warning() {
        let mut plan = fixture::plan(600);
        let service = |ms| Service {
            workers: 1,
            connect: None,
            publish: Some(ServiceTime::Fixed(Duration::from_millis(ms))),
            queue: 9,
        };
        plan.target = Target::Embedded(embedded(Some(service(199))));
        assert_eq!(warning(&plan), None, "10 of 10.05 messages/s");
        plan.target = Target::Embedded(embedded(Some(service(250))));
        let said = warning(&plan).expect("10 of 8 messages/s");
        assert!(
            said.starts_with("10.0 messages/s on average are 125 % of"),
            "{said}"
        );
        plan.target = Target::Embedded(embedded(None));
        assert_eq!(warning(&plan), None);
    }
}
