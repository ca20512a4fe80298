//! Text with placeholders such as `{device}`, parsed once and rendered per device.

use std::fmt::Write as _;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Segment>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Plain text.
    Literal(String),
    /// Text from `${env:…}` or `${file:…}`; never printed.
    Secret(super::plan::Secret),
    /// `{device}`: the device's id, `<cohort>-<index within the cohort>`.
    Device,
    /// `{cohort}`: the cohort's name.
    Cohort,
    /// `{index}`: index of the device in the fleet, from 0.
    Index,
    /// `{node}`: the device's home node.
    Node,
    /// `{run}`: the run's id, eight hex digits.
    Run,
    /// `{id}`: first column of the credentials CSV.
    Id,
    /// `{token}`: second column of the credentials CSV.
    Token,
}

/// What a template is rendered with.
#[derive(Copy, Clone, Debug)]
pub struct Names<'a> {
    /// Cohort name.
    pub cohort: &'a str,
    /// Index within the cohort.
    pub index_in_cohort: u32,
    /// Index in the fleet.
    pub index: u32,
    /// Home node.
    pub node: u16,
    /// Run id.
    pub run: u32,
    /// Row of the credentials CSV: id and token.
    pub credentials: Option<(&'a str, &'a str)>,
}

impl Template {
    /// Appends the rendered text to `out`.
    pub fn render(&self, names: &Names<'_>, out: &mut String) {
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => out.push_str(text),
                Segment::Secret(secret) => out.push_str(&secret.0),
                Segment::Device => write_infallible(
                    out,
                    format_args!("{}-{}", names.cohort, names.index_in_cohort),
                ),
                Segment::Cohort => out.push_str(names.cohort),
                Segment::Index => write_infallible(out, format_args!("{}", names.index)),
                Segment::Node => write_infallible(out, format_args!("{}", names.node)),
                Segment::Run => write_infallible(out, format_args!("{:08x}", names.run)),
                Segment::Id => out.push_str(names.credentials.map_or("", |c| c.0)),
                Segment::Token => out.push_str(names.credentials.map_or("", |c| c.1)),
            }
        }
    }

    /// The rendered text.
    pub fn to_text(&self, names: &Names<'_>) -> String {
        let mut out = String::new();
        self.render(names, &mut out);
        out
    }
}

fn write_infallible(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("a String accepts every write");
}
