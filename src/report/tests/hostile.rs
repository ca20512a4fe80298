//! Strings a hostile scenario, device, broker or machine could bring in must stay text on every
//! page.

use super::*;
use crate::report::value::Mode;
use crate::scenario::plan::Target;

/// Ends tags, attributes, comments and CDATA; starts scripts, links, tables and mentions; moves
/// terminals; reverses text.
const PAYLOAD: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)></style></svg></title><!--]]>\
 |x| [a](javascript:alert(1)) ![i](http://evil.example/i.png) `c` **b** @team #1 <b onload=x> \
 &lt; \x1b[31mred\x1b]0;t\x07 \0\x01\x08\u{202e}gnp.exe\u{2066} =cmd() \u{FFFE}";

/// The quickstart run with the payload wherever a string from outside can be.
pub(super) fn run() -> RunData {
    let mut run = fixture::failing();
    let bad = PAYLOAD.to_owned();
    run.scenario_text = format!("{bad}\n\t{bad}");
    run.plan.name = bad.clone();
    run.plan.about = bad.clone();
    for phase in &mut run.plan.phases {
        phase.name += &bad;
    }
    for cohort in &mut run.plan.cohorts {
        cohort.name = bad.clone();
    }
    for stream in &mut run.plan.streams {
        stream.name = bad.clone();
    }
    for objective in &mut run.plan.objectives {
        objective.name = bad.clone();
    }
    let header = &mut run.header;
    header.version = bad.clone();
    header.command = vec![bad.clone()];
    header.plan_hash = bad.clone();
    header.run_id = bad.clone();
    header.targets = vec![bad.clone()];
    header.overrides.targets = vec![bad.clone()];
    header.host = [(bad.clone(), bad.clone())].into();
    run.started = run.started.map(|(at, _)| (at, bad.clone()));
    run.warnings = vec![(fixture::at_s(1), bad.clone())];
    run.lost = vec![(bad.clone(), fixture::at_s(1), bad.clone())];
    run.notes = vec![bad.clone()];
    run.damaged = Some(bad.clone());
    let errors = run
        .outcome
        .as_ref()
        .map_or_else(Vec::new, |o| o.totals.errors.clone());
    run.backends = [(0, ([(bad, 1)].into(), errors))].into();
    run
}

/// The same of a simulated run.
pub(super) fn simulated() -> RunData {
    let mut run = run();
    let bad = PAYLOAD.to_owned();
    run.header.mode = Mode::Simulated;
    run.header.model = [(bad.clone(), bad.clone())].into();
    let mut brokers = fixture::simulated_brokers().plan.target;
    if let Target::Brokers(brokers) = &mut brokers {
        brokers.urls[0].host = bad;
    }
    run.plan.target = brokers;
    run
}

fn reports() -> [Report; 2] {
    [run(), simulated()].map(|run| assemble::report(&run))
}

/// No control character but line breaks, no reordering of text.
fn is_clean(page: &str) -> bool {
    let is_bad = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{2069}').contains(&c);
    !page.contains(is_bad)
}

#[test]
fn html_keeps_it_text() {
    // A clean page of the same run has the same tags, attribute for attribute.
    let clean = html::render(&assemble::report(&fixture::failing()));
    for report in reports() {
        let page = html::render(&report);
        assert!(is_clean(&page));
        assert!(page.contains("&lt;script&gt;alert(1)"));
        let lower = page.to_lowercase();
        for forbidden in ["<script", "<img", "<b ", "<!--", "]]>", "<a "] {
            assert!(!lower.contains(forbidden), "{forbidden}");
        }
        for (tag, n) in [("</style>", 1), ("</title>", 1), ("</main>", 1)] {
            assert_eq!(lower.matches(tag).count(), n, "{tag}");
        }
        let opened = |page: &str, tag: &str| page.matches(&format!("<{tag}")).count();
        assert_eq!(opened(&lower, "svg"), lower.matches("</svg>").count());
        assert_eq!(opened(&lower, "figure"), opened(&clean, "figure"));
        // No quote of the payload ended an attribute: what follows it is still escaped.
        assert!(!page.contains("\"'>"));
    }
}

#[test]
fn junit_keeps_it_text_and_stays_xml() {
    for report in reports() {
        let xml = junit::render(&report);
        assert!(is_clean(&xml));
        for forbidden in ["<script", "<img", "<!--", "]]>", "\u{FFFE}"] {
            assert!(!xml.contains(forbidden), "{forbidden}");
        }
        assert_eq!(xml.matches("<testcase ").count(), 6);
    }
}

#[test]
fn markdown_keeps_it_text_and_its_tables_whole() {
    for report in reports() {
        let page = markdown::render(&report);
        assert!(is_clean(&page));
        for forbidden in ["<script", "<img", "@team", "http://"] {
            assert!(!page.contains(forbidden), "{forbidden}\n{page}");
        }
        let unescaped = page
            .replace("\\]", "")
            .replace("\\[", "")
            .replace("\\*", "");
        for forbidden in ["](", "![", "**b"] {
            assert!(!unescaped.contains(forbidden), "{forbidden}\n{page}");
        }
        for row in page.lines().filter(|line| line.starts_with('|')) {
            let bars = row.replace("\\|", "").matches('|').count();
            assert!([7, 8, 11].contains(&bars), "{row}");
        }
    }
}

#[test]
fn the_terminal_obeys_none_of_it() {
    for report in reports() {
        for color in [text::Color::Off, text::Color::On] {
            let page = text::render(&report, Path::new("reports/x"), color);
            let ours = [
                "\x1b[1;31m",
                "\x1b[1;32m",
                "\x1b[1;33m",
                "\x1b[1;36m",
                "\x1b[0m",
            ];
            let page = ours
                .iter()
                .fold(page, |page, escape| page.replace(escape, ""));
            assert!(is_clean(&page));
        }
        assert!(is_clean(&text::summary_line(&report)));
    }
}

#[test]
fn json_is_still_json() {
    let [live, simulated] = reports().map(|report| {
        let text = json::render(&report);
        serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON")
    });
    assert_eq!(live["scenario"]["name"], PAYLOAD);
    assert_eq!(simulated["prediction"]["model"][PAYLOAD], PAYLOAD);
}
