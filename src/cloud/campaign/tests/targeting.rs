//! Who is a target, and in which order they get their turn.

use super::*;
use crate::cloud::campaign::targets::Targets;
use crate::scenario::campaign::{Priority, Versions};
use crate::scenario::plan::{Attribute, Selector};
use proptest::prelude::*;

/// A tenth is critical, two tenths are urgent; hw is B or C, half each.
fn tiered(devices: u32, change: impl FnOnce(&mut Definition)) -> Plan {
    let mut plan = plan_with(devices, change);
    let (critical, urgent) = (devices / 10, devices / 5);
    let attribute = |name: &str, values: Vec<(&str, u32)>| Attribute {
        name: name.into(),
        values: values
            .into_iter()
            .map(|(value, count)| (value.into(), count))
            .collect(),
        root: None,
    };
    plan.cohorts[0].attributes = vec![
        attribute(
            "tier",
            vec![
                ("critical", critical),
                ("urgent", urgent),
                ("normal", devices - critical - urgent),
            ],
        ),
        attribute("hw", vec![("B", devices / 2), ("C", devices - devices / 2)]),
    ];
    plan
}

fn who(name: &str, value: &str) -> Selector {
    Selector {
        attributes: vec![(name.into(), value.into())],
        ..Selector::default()
    }
}

fn priorities() -> Vec<Priority> {
    let priority = |name: &str, who| Priority {
        name: name.into(),
        who,
    };
    vec![
        priority("critical", who("tier", "critical")),
        priority("urgent", who("tier", "urgent")),
        // Whoever is critical, too, stays critical.
        priority("C", who("hw", "C")),
    ]
}

#[test]
fn who_needs_it_by_attributes_and_firmware() {
    let firmware = |device: DeviceIdx| match device % 4 {
        0 => Some(OLD),
        1 => Some(NEW),
        2 => Some(OTHER),
        _ => None,
    };
    let table: [(Option<Versions>, &[Option<u16>]); 4] = [
        // Whoever has the image's own version does not need it.
        (None, &[Some(OLD), Some(OTHER), None]),
        (Some(Versions::OneOf(vec![OLD, NEW])), &[Some(OLD)]),
        (Some(Versions::Below(NEW)), &[Some(OLD), Some(OTHER)]),
        (Some(Versions::Below(OLD)), &[Some(OTHER)]),
    ];
    for (versions, wanted) in table {
        let plan = tiered(400, |campaign| {
            campaign.targets = Population {
                who: who("hw", "B"),
                firmware: versions.clone(),
            };
        });
        let b = who("hw", "B").members(&plan);
        let b = b
            .into_iter()
            .filter(|device| wanted.contains(&firmware(*device)));
        let b: Vec<DeviceIdx> = b.collect();
        let mut bench = Bench::begin_from(plan, firmware);
        let targets = CampaignMark::Started {
            targets: u32::try_from(b.len()).expect("few"),
        };
        assert_eq!(bench.marks[0].1, targets);
        let mut notified: Vec<DeviceIdx> = bench
            .notified
            .iter()
            .map(|(_, device, _)| *device)
            .collect();
        notified.sort_unstable();
        assert_eq!(notified, b, "{versions:?}");
        bench.at(1_000, Input::Close);
        assert!(
            bench
                .rows
                .iter()
                .all(|row| row.from == firmware(row.device))
        );
    }
}

#[test]
fn nobody_to_update_is_done_at_once() {
    let bench = Bench::begin_from(plan(10), |_| Some(NEW));
    let marks = [
        (0, CampaignMark::Started { targets: 0 }),
        (0, CampaignMark::Completed),
    ];
    assert_eq!(bench.marks(), marks);
    assert_eq!(bench.campaign.poll_timeout(), Instant::NEVER);
}

#[test]
fn priorities_come_one_after_the_other() {
    let plan = tiered(1_000, |campaign| campaign.priorities = priorities());
    let tier = |device| plan.attribute(device, "tier").map(str::to_owned);
    let (critical, c) = (
        who("tier", "critical").members(&plan),
        who("hw", "C").members(&plan),
    );
    let mut bench = Bench::begin(plan.clone());
    let order: Vec<DeviceIdx> = bench
        .notified
        .iter()
        .map(|(_, device, _)| *device)
        .collect();
    assert!(order[..100].iter().all(|device| critical.contains(device)));
    assert!(
        order[100..300]
            .iter()
            .all(|device| tier(*device).as_deref() == Some("urgent"))
    );
    let of_c = order[300..].iter().map(|device| c.contains(device));
    assert!(of_c.is_sorted_by(|before, after| before >= after));
    // Not in the order of devices, and another one in another campaign.
    assert!(!order[..100].is_sorted());
    bench.at(1_000, Input::Close);
    for row in &bench.rows {
        let wanted = match tier(row.device).as_deref() {
            Some("critical") => 0,
            Some("urgent") => 1,
            _ if c.contains(&row.device) => 2,
            _ => 3,
        };
        assert_eq!(row.priority, wanted);
    }
}

#[test]
fn a_shuffled_order_knows_no_priorities_but_the_rows_do() {
    let plan = tiered(1_000, |campaign| {
        campaign.priorities = priorities();
        campaign.order = Order::Shuffled;
    });
    let critical = who("tier", "critical").members(&plan);
    let mut bench = Bench::begin(plan);
    let first = bench.notified[..500]
        .iter()
        .filter(|(_, device, _)| critical.contains(device));
    assert!((30..70).contains(&first.count()));
    bench.at(1_000, Input::Close);
    let is_first = |row: &&ResultRow| row.priority == 0;
    assert_eq!(bench.rows.iter().filter(is_first).count(), 100);
}

proptest! {
    #[test]
    fn every_target_has_one_turn_and_is_found(devices in 10u32..400, seed: u64, shuffled: bool) {
        let mut plan = tiered(devices, |campaign| {
            campaign.priorities = priorities();
            campaign.order = if shuffled { Order::Shuffled } else { Order::ByPriority };
        });
        plan.seed = seed;
        let targets = Targets::of(&plan, 0, |device| (device % 3 > 0).then_some(OLD));
        let mut slots: Vec<u32> = targets.slots().map(|turn| targets.by_turn(turn)).collect();
        if !shuffled {
            prop_assert!(slots.iter().map(|slot| targets.priority(*slot)).is_sorted());
        }
        slots.sort_unstable();
        prop_assert!(slots.into_iter().eq(targets.slots()));
        for slot in targets.slots() {
            prop_assert_eq!(targets.find(targets[slot].device), Some(slot));
        }
        prop_assert_eq!(targets.find(devices), None);
    }
}
