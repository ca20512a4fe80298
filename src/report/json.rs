//! `report.json`: the report value as it stands.

use super::value::Report;

/// The report as indented JSON with a final newline. Keys keep the order of [`Report`].
pub fn render(report: &Report) -> String {
    let json = serde_json::to_string_pretty(report);
    let mut json = json.expect("the report has only string keys and no failing serializer");
    json.push('\n');
    json
}
