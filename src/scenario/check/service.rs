//! The service law of the embedded backend: what work costs, and for whom it is done.

use super::Checker;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{GoneClients, Service, ServiceTime};
use crate::scenario::quantity::Time;
use std::time::Duration;

/// Most workers of a node.
const WORKERS_MAX: u32 = 1_024;
/// Jobs that may wait per node if the scenario does not say.
const DEFAULT_QUEUE: u32 = 100_000;
/// Most jobs that may wait per node.
const QUEUE_MAX: u32 = 1_000_000;

impl Checker<'_> {
    pub(super) fn service(&mut self, service: &At<mirror::Service>) -> Service {
        let at = service.span;
        let service = &service.value;
        if service.connect.is_none() && service.publish.is_none() {
            self.absent(
                at,
                "no work of the service is named",
                "add for example `connect: { exponential: 1ms }`, `publish: { fixed: 50us }`, or both",
            );
        }
        Service {
            workers: self.workers(service.workers.as_ref()),
            connect: service.connect.as_ref().map(|time| self.service_time(time)),
            publish: service.publish.as_ref().map(|time| self.service_time(time)),
            queue: self.service_queue(service.queue.as_ref()),
        }
    }

    /// Whether the backend notices that clients have left. That matters only where one waits.
    pub(super) fn gone_clients(&mut self, embedded: &mirror::Embedded) -> GoneClients {
        let Some(word) = &embedded.gone_clients else {
            return GoneClients::Skip;
        };
        match word.value {
            mirror::GoneClients::Skip => GoneClients::Skip,
            mirror::GoneClients::Serve => {
                if embedded.accept_rate.is_none() && embedded.service.is_none() {
                    self.error(
                        word.span,
                        "no client ever waits: there is neither an `accept_rate` nor a `service`",
                        "add one of them, or remove `gone_clients`",
                    );
                }
                GoneClients::Serve
            }
        }
    }

    fn workers(&mut self, workers: Option<&At<u32>>) -> u16 {
        let Some(workers) = workers else {
            return 1;
        };
        if !(1..=WORKERS_MAX).contains(&workers.value) {
            self.error(
                workers.span,
                format!("{} is not a number of workers", workers.value),
                format!("write a whole number from 1 to {WORKERS_MAX}"),
            );
        }
        // Something to go on with if it is too large; an error has been noted.
        u16::try_from(workers.value).unwrap_or(1)
    }

    fn service_queue(&mut self, queue: Option<&At<u32>>) -> u32 {
        let Some(queue) = queue else {
            return DEFAULT_QUEUE;
        };
        if queue.value > QUEUE_MAX {
            self.error(
                queue.span,
                format!("{} jobs are more than a node holds", queue.value),
                format!("write a whole number from 0 to {QUEUE_MAX}"),
            );
        }
        queue.value
    }

    fn service_time(&mut self, time: &At<mirror::ServiceTime>) -> ServiceTime {
        match &time.value {
            mirror::ServiceTime::Fixed(time) => ServiceTime::Fixed(self.work(time)),
            mirror::ServiceTime::Exponential(mean) => ServiceTime::Exponential(self.work(mean)),
            mirror::ServiceTime::Bimodal(bimodal) => {
                let (fast, slow) = (self.work(&bimodal.fast), self.work(&bimodal.slow));
                if slow < fast {
                    self.error(
                        bimodal.slow.span,
                        format!("slow ({slow:?}) is faster than fast ({fast:?})"),
                        "swap the two",
                    );
                }
                ServiceTime::Bimodal {
                    fast,
                    slow,
                    slow_share: bimodal.slow_share.0,
                }
            }
        }
    }

    /// The time of a job.
    fn work(&mut self, time: &At<Time>) -> Duration {
        if time.value.0.is_zero() {
            self.error(
                time.span,
                "work that costs time costs more than 0s",
                "write for example 1ms, or remove the word: what is not named costs nothing",
            );
        }
        time.value.0
    }
}
