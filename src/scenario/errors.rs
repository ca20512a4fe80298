//! All that is wrong with a scenario, each with its place, the offending text and the fix.

use super::tree::Span;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};
use std::fmt;
use std::sync::Arc;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where; `None` if it is about the file or the command line.
    pub(super) span: Option<Span>,
    /// What is wrong.
    pub(super) message: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn new(span: Span, message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            span: Some(span),
            ..Self::without_place(message, help)
        }
    }

    pub(super) fn without_place(message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            span: None,
            message: tame(&message.into()),
            help: help.as_deref().map(tame),
        }
    }
}

/// Longest message or fix, in characters: both may repeat text of the file.
const MAX_MESSAGE: usize = 600;
/// Longest line that is shown.
const MAX_LINE_BYTES: usize = 1_000;

/// Text for a terminal: one line of bounded length without control characters.
fn tame(text: &str) -> String {
    let mut tame: String = text
        .chars()
        .take(MAX_MESSAGE)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_MESSAGE).is_some() {
        tame.push('…');
    }
    tame
}

/// All that is wrong with a scenario, at once. `Display` gives one plain
/// `file:line:column: message` per mistake with its fix; [`ScenarioErrors::render`] shows the
/// offending text too.
#[derive(Clone, PartialEq, Eq)]
pub struct ScenarioErrors {
    name: String,
    /// The file's text with everything secret blanked out; empty if it must not be shown.
    shown: Arc<str>,
    problems: Vec<Problem>,
}

impl ScenarioErrors {
    /// Errors about `name`, in the file's order; `shown` is its text without secrets.
    pub(super) fn new(name: &str, shown: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span);
        problems.dedup();
        Self {
            name: name.to_owned(),
            shown: shown.into(),
            problems,
        }
    }

    /// Number of mistakes.
    pub const fn len(&self) -> usize {
        self.problems.len()
    }

    /// Never true of a value that was returned as an error.
    pub const fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Each mistake with the offending line, a label under the text and the fix; `color` adds ANSI
    /// colours.
    pub fn render(&self, color: bool) -> String {
        let theme = if color {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_width(100)
            .without_cause_chain();
        let source = NamedSource::new(&self.name, Arc::clone(&self.shown));
        let mut out = String::new();
        let longest = self.shown.lines().map(str::len).max().unwrap_or(0);
        for problem in &self.problems {
            let show = problem.span.is_some() && (1..=MAX_LINE_BYTES).contains(&longest);
            let shown = Shown {
                problem,
                source: &source,
                show,
                title: if show {
                    problem.message.clone()
                } else {
                    format!("{}: {}", self.head(problem), problem.message)
                },
            };
            if !out.is_empty() {
                out.push('\n');
            }
            handler
                .render_report(&mut out, &shown)
                .expect("a String accepts every write");
        }
        out
    }

    /// `file:line:column`, or the file alone.
    fn head(&self, problem: &Problem) -> String {
        match problem.span {
            Some(span) if !self.shown.is_empty() => {
                let (line, column) = self.place(span.start);
                format!("{}:{line}:{column}", self.name)
            }
            Some(_) | None => self.name.clone(),
        }
    }

    /// Line and column, both from 1, columns in characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.shown.get(..offset).unwrap_or(&self.shown);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column)
    }
}

impl fmt::Display for ScenarioErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", self.head(problem), problem.message)?;
            if let Some(help) = &problem.help {
                write!(f, "\n  help: {help}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ScenarioErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ScenarioErrors {}

/// One mistake as miette wants it.
struct Shown<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<Arc<str>>,
    show: bool,
    title: String,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.problem.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.show.then_some(self.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span.filter(|_| self.show)?;
        let label = LabeledSpan::new(None, span.start, span.end.saturating_sub(span.start));
        Some(Box::new(std::iter::once(label)))
    }
}

/// `did you mean …?` if one of `words` is close to `word`, and in any case the words there are.
pub(super) fn nearest_help<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    let list = if words.is_empty() {
        "there is none".to_owned()
    } else {
        format!("valid here: {}", words.join(", "))
    };
    match nearest(word, words.into_iter()) {
        Some(near) => format!("did you mean `{near}`? ({list})"),
        None => list,
    }
}

/// The word closest to `word`, if it is close enough to be what was meant: a third of its length
/// in edits (from one to four), or `word` is its beginning.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(edits, candidate)| {
            let limit = (candidate.chars().count() / 3).clamp(1, 4);
            let begins = word.len() >= 3 && candidate.starts_with(word);
            *edits <= limit || begins
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let words = ["keep_alive", "backoff", "for", "at"];
        assert_eq!(nearest("keepalive", words.into_iter()), Some("keep_alive"));
        assert_eq!(nearest("backof", words.into_iter()), Some("backoff"));
        assert_eq!(nearest("fro", words.into_iter()), Some("for"));
        assert_eq!(nearest("telemetry", words.into_iter()), None);
    }
}
