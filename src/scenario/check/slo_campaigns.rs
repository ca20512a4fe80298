//! Objectives about campaigns, commands and queries: `of`, `among` and `reason`.

use super::Checker;
use crate::scenario::campaign::Server;
use crate::scenario::errors::nearest_help;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::Plan;
use crate::scenario::slo::{Among, Indicator, Subject};
use crate::wire::Reason;

/// What an indicator may be of.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    Fleet,
    Campaign,
    Command,
    Query,
    CampaignOrCommand,
}

impl Kind {
    const fn of(indicator: Indicator) -> Self {
        match indicator {
            Indicator::OtaCompletion
            | Indicator::OtaFailureRatio
            | Indicator::OtaRollbackRatio
            | Indicator::OtaExposureBeforeHalt
            | Indicator::OtaHaltTime
            | Indicator::OtaWrongTarget
            | Indicator::OtaPriorityInversions
            | Indicator::OtaBytesPerDevice
            | Indicator::OtaCollateral => Self::Campaign,
            Indicator::CommandRtt
            | Indicator::CommandFanout
            | Indicator::CommandResultCompleteness
            | Indicator::CommandDuplicateEffect => Self::Command,
            Indicator::QueryLatency | Indicator::QueryStaleness => Self::Query,
            Indicator::ResolutionTime => Self::CampaignOrCommand,
            Indicator::ConnectLatency
            | Indicator::ConnectSuccess
            | Indicator::ConnectWasted
            | Indicator::ReconnectTime
            | Indicator::ReconnectStranded
            | Indicator::RecoveryVerdict
            | Indicator::PublishAckLatency
            | Indicator::E2eLatency
            | Indicator::DeliveryLost
            | Indicator::DeliveryDuplicated
            | Indicator::DeliveryReordered
            | Indicator::WillFired
            | Indicator::FleetAvailability
            | Indicator::ReconnectPeakRate
            | Indicator::RetryAmplification
            | Indicator::SessionResumeRatio
            | Indicator::AvailabilityIntervalAverage
            | Indicator::AvailabilityBadMinutes
            | Indicator::FreshnessAge
            | Indicator::BacklogDrainTime
            | Indicator::BacklogRecoveredRatio
            | Indicator::BacklogHarm => Self::Fleet,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Campaign => "campaign",
            Self::Command => "command",
            Self::Query => "query",
            Self::CampaignOrCommand => "campaign or command",
        }
    }
}

/// Indicators that only the operator of the run can tell of: when an external server notifies a device
/// or halts is not seen.
const fn needs_operator(indicator: Indicator) -> bool {
    matches!(
        indicator,
        Indicator::OtaExposureBeforeHalt
            | Indicator::OtaHaltTime
            | Indicator::OtaPriorityInversions
    )
}

impl Checker<'_> {
    /// Whom the objective speaks of.
    pub(super) fn subject(
        &mut self,
        slo: &At<mirror::Slo>,
        indicator: Indicator,
        plan: &Plan,
    ) -> Option<Subject> {
        let kind = Kind::of(indicator);
        let name = indicator.name();
        self.misplaced_parts(&slo.value, indicator);
        let of = match (&slo.value.of, kind) {
            (None, Kind::Fleet) => return Some(Subject::Fleet),
            (Some(of), Kind::Fleet) => {
                let message = format!("{name} is of the whole fleet");
                self.error(of.span, message, "remove `of`");
                return None;
            }
            (None, _) => {
                let noun = kind.noun();
                let message = format!("{name} needs the {noun} that it is of");
                self.absent(slo.span, message, format!("add `of: <{noun}>`"));
                return None;
            }
            (Some(of), _) => of,
        };
        let campaign = plan.campaigns.iter().position(|c| c.name == of.value);
        let command = plan.commands.iter().position(|c| c.name == of.value);
        let query = plan.queries.iter().position(|q| q.name == of.value);
        let found = match kind {
            Kind::Fleet => None,
            Kind::Campaign | Kind::CampaignOrCommand if campaign.is_some() => {
                return self.campaign_parts(slo, of, indicator, campaign?, plan);
            }
            Kind::Campaign => None,
            Kind::Command | Kind::CampaignOrCommand => command.map(Subject::Command),
            Kind::Query => query.map(Subject::Query),
        };
        if found.is_none() && !self.lists_of(kind) {
            let known = known(kind, plan);
            self.unknown(kind.noun(), of, &known);
        }
        found
    }

    fn campaign_parts(
        &mut self,
        slo: &At<mirror::Slo>,
        of: &At<String>,
        indicator: Indicator,
        index: usize,
        plan: &Plan,
    ) -> Option<Subject> {
        let campaign = &plan.campaigns[index];
        if needs_operator(indicator) && campaign.server == Server::External {
            let name = indicator.name();
            let message = format!("{name} cannot be told of a campaign that the target runs");
            self.error(
                of.span,
                message,
                "judge ota.completion, or let the operator run it",
            );
            return None;
        }
        let among = match &slo.value.among {
            Some(among) => self.among(among, index, plan)?,
            None => Among::All,
        };
        let reason = match &slo.value.reason {
            Some(reason) => Some(self.reason(reason)?),
            None => None,
        };
        Some(Subject::Campaign {
            campaign: index,
            among,
            reason,
        })
    }

    fn among(&mut self, among: &At<mirror::Among>, campaign: usize, plan: &Plan) -> Option<Among> {
        match (&among.value.priority, &among.value.cohort) {
            (Some(priority), None) => {
                let priorities = &plan.campaigns[campaign].priorities;
                let found = priorities.iter().position(|p| p.name == priority.value);
                if found.is_none() {
                    let known: Vec<&str> = priorities.iter().map(|p| p.name.as_str()).collect();
                    self.unknown("priority", priority, &known);
                }
                found.map(Among::Priority)
            }
            (None, Some(cohort)) => {
                let found = plan.cohorts.iter().position(|c| c.name == cohort.value);
                if found.is_none() && !self.pruned.items_of("fleet") {
                    let known: Vec<&str> = plan.cohorts.iter().map(|c| c.name.as_str()).collect();
                    self.unknown("cohort", cohort, &known);
                }
                found.map(Among::Cohort)
            }
            (Some(_), Some(cohort)) => {
                let message = "`priority` and `cohort` exclude each other";
                self.error(cohort.span, message, "keep one of them");
                None
            }
            (None, None) => {
                let help = "write for example `among: { priority: critical }`, or remove it";
                self.absent(among.span, "this does not say which targets", help);
                None
            }
        }
    }

    fn reason(&mut self, reason: &At<String>) -> Option<Reason> {
        let found = Reason::of_word(&reason.value);
        if found.is_none() {
            let known = Reason::ALL.iter().map(|reason| reason.word());
            let help = nearest_help(&reason.value, known);
            self.error(
                reason.span,
                format!("unknown reason `{}`", reason.value),
                help,
            );
        }
        found
    }

    /// `among` and `reason` of an indicator that takes neither.
    fn misplaced_parts(&mut self, slo: &mirror::Slo, indicator: Indicator) {
        let name = indicator.name();
        if let Some(among) = &slo.among
            && indicator != Indicator::OtaCompletion
        {
            let message = format!("{name} is of all targets");
            self.error(
                among.span,
                message,
                "remove `among`, or judge ota.completion",
            );
        }
        if let Some(reason) = &slo.reason
            && indicator != Indicator::OtaFailureRatio
        {
            let message = format!("{name} asks for no reason");
            let help = "remove `reason`, or judge ota.failure_ratio";
            self.error(reason.span, message, help);
        }
    }

    /// Whether what `of` may name was refused already, in whole or in part.
    fn lists_of(&self, kind: Kind) -> bool {
        let cut = |word| self.pruned.items_of(word);
        match kind {
            Kind::Fleet => false,
            Kind::Campaign => cut("campaigns"),
            Kind::Command => cut("commands"),
            Kind::Query => cut("queries"),
            Kind::CampaignOrCommand => cut("campaigns") || cut("commands"),
        }
    }
}

fn known(kind: Kind, plan: &Plan) -> Vec<&str> {
    let campaigns = plan.campaigns.iter().map(|c| c.name.as_str());
    let commands = plan.commands.iter().map(|c| c.name.as_str());
    let queries = plan.queries.iter().map(|q| q.name.as_str());
    match kind {
        Kind::Fleet => Vec::new(),
        Kind::Campaign => campaigns.collect(),
        Kind::Command => commands.collect(),
        Kind::Query => queries.collect(),
        Kind::CampaignOrCommand => campaigns.chain(commands).collect(),
    }
}

#[cfg(test)]
mod tests;
