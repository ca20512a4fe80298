//! The YAML file: reading it within limits into a positioned tree, and on to a checked plan. The
//! only file that names the YAML crate.

use super::check;
use super::errors::Problem;
pub use super::errors::ScenarioErrors;
use super::plan::Plan;
use super::redact;
use super::tree::{Key, Kind, Node, Span};
pub use crate::stats::evidence::Overrides;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span as YamlSpan};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

/// Largest scenario file in bytes; a larger one is refused without being read.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Deepest nesting of mappings and lists.
const MAX_DEPTH: usize = 32;
/// Most values in a file, each use of an alias counted with all that it stands for.
const MAX_NODES: usize = 100_000;
/// Most bytes of keys and values, counted likewise.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// Whether `${env:…}`, `${file:…}` and the credentials CSV are read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They must resolve.
    Resolve,
    /// Only the ids in the CSV are read, and those only if topics, payloads or client identifiers
    /// are made of them: enough to simulate, where nobody logs in.
    Ids,
    /// They stay empty: enough to judge and to render.
    Ignore,
}

/// A scenario that was read and checked, with its text.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file's text as it stands.
    pub text: String,
    /// The checked plan.
    pub plan: Plan,
}

/// Reads and checks the scenario at `path`.
///
/// # Errors
/// All that is wrong with it, or that it cannot be read.
pub fn load(
    path: &Path,
    overrides: &Overrides,
    secrets: Secrets,
) -> Result<Loaded, ScenarioErrors> {
    let name = path.display().to_string();
    let text =
        read(path).map_err(|problem| ScenarioErrors::new(&name, String::new(), vec![problem]))?;
    let base = path.parent().unwrap_or_else(|| Path::new("."));
    let plan = parse(&name, &text, base, overrides, secrets)?;
    Ok(Loaded { text, plan })
}

/// Checks scenario text; `base` is the folder that `${file:…}` and CSV paths are relative to and
/// `name` what errors call the file.
///
/// # Errors
/// All that is wrong with it, in the order of the file.
pub fn parse(
    name: &str,
    text: &str,
    base: &Path,
    overrides: &Overrides,
    secrets: Secrets,
) -> Result<Plan, ScenarioErrors> {
    if text.len() as u64 > MAX_FILE_BYTES {
        let problems = vec![too_large(text.len() as u64)];
        return Err(ScenarioErrors::new(name, String::new(), problems));
    }
    // A byte order mark would shift every position by one character.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = match Builder::build(text) {
        Ok(root) => root,
        Err(problem) => {
            let shown = redact::without_tree(text);
            return Err(ScenarioErrors::new(name, shown, vec![problem]));
        }
    };
    let shown = redact::with_tree(text, &root);
    let inputs = check::Inputs {
        text,
        base,
        overrides,
        secrets,
    };
    check::plan(root, &inputs).map_err(|problems| ScenarioErrors::new(name, shown, problems))
}

fn read(path: &Path) -> Result<String, Problem> {
    let cannot = |error: std::io::Error| {
        Problem::without_place(format!("cannot read the scenario: {error}"), None)
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    if length > MAX_FILE_BYTES {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    // A pipe has no length and a file may grow: one byte more than allowed tells.
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::without_place(format!("byte {at} is not UTF-8"), None)
    })
}

fn too_large(length: u64) -> Problem {
    Problem::without_place(
        format!("the scenario is {length} bytes long"),
        Some(format!(
            "a scenario may have {MAX_FILE_BYTES} bytes; credentials of many devices belong in `auth: {{ csv: … }}`"
        )),
    )
}

/// Builds the tree from the YAML crate's events.
pub(super) struct Builder {
    /// Mappings and lists that are still open.
    open: Vec<Open>,
    /// Finished values of anchors.
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    text_bytes: usize,
    root: Option<Node>,
    documents: usize,
}

/// A mapping or list that is still open.
struct Open {
    start: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        names: BTreeSet<String>,
        key: Option<Key>,
    },
}

impl Builder {
    pub(super) fn build(text: &str) -> Result<Node, Problem> {
        let mut builder = Self {
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            text_bytes: 0,
            root: None,
            documents: 0,
        };
        let mut parser = Parser::new_from_str_with_options(text, Options::default());
        while let Some(event) = parser.next_event() {
            let (event, place) = event.map_err(|error| {
                let start = error.marker().byte_offset().unwrap_or(text.len());
                let end = text[start.min(text.len())..]
                    .chars()
                    .next()
                    .map_or(start, |c| start + c.len_utf8());
                Problem::new(
                    Span { start, end },
                    format!("not valid YAML: {}", error.info()),
                    Some("look here and at the line before: an open bracket or quote, a missing `:`, or the indentation".into()),
                )
            })?;
            builder.event(event, span(&place))?;
        }
        Ok(builder.root.unwrap_or_else(|| Node {
            span: Span::default(),
            kind: Kind::Null,
        }))
    }

    fn event(&mut self, event: Event<'_>, place: Span) -> Result<(), Problem> {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(
                        place,
                        "a second document begins here",
                        Some("a scenario is one document: remove `---` and what follows".into()),
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                no_tag(tag.is_some(), place)?;
                let plain = style == ScalarStyle::Plain;
                let kind = match &*text {
                    "" | "~" | "null" if plain => Kind::Null,
                    _ => Kind::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                };
                self.value(anchor, Node { span: place, kind })
            }
            Event::SequenceStart(_, anchor, tag) => {
                no_tag(tag.is_some(), place)?;
                self.open(place, anchor, Content::Seq(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                no_tag(tag.is_some(), place)?;
                self.open(
                    place,
                    anchor,
                    Content::Map {
                        entries: Vec::new(),
                        names: BTreeSet::new(),
                        key: None,
                    },
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(place),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Problem::new(
                        place,
                        "this alias stands inside of what it names",
                        Some("write the value out".into()),
                    ));
                };
                let (nodes, text_bytes) = weigh(node);
                // Weighed before it is copied.
                self.count(nodes, text_bytes, place)?;
                let node = self.anchors[&id].clone();
                self.put(node)
            }
            // These are only sent if asked for, and so would be any that are added later.
            Event::Anchor(..) | Event::UnresolvedAlias(_) | _ => Ok(()),
        }
    }

    fn open(&mut self, start: Span, anchor: usize, content: Content) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::new(
                start,
                format!("nested more than {MAX_DEPTH} levels deep"),
                None,
            ));
        }
        self.open.push(Open {
            start,
            anchor,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Problem> {
        let open = self.open.pop().expect("the parser balances its events");
        let (kind, last) = match open.content {
            Content::Seq(items) => {
                let last = items.last().map(|item| item.span.end);
                (Kind::Seq(items), last)
            }
            Content::Map { entries, .. } => {
                let last = entries.last().map(|(_, value)| value.span.end);
                (Kind::Map(entries), last)
            }
        };
        // A block collection's end event stands at the next token, lines later; its last entry
        // says where its text ends. A flow collection's end event is its bracket.
        let end = match last {
            Some(last) if end.start == end.end => last,
            Some(_) | None => end.end,
        };
        let node = Node {
            span: Span {
                start: open.start.start,
                end,
            },
            kind,
        };
        self.value(open.anchor, node)
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, anchor: usize, node: Node) -> Result<(), Problem> {
        let text_bytes = match &node.kind {
            Kind::Scalar { text, .. } => text.len(),
            Kind::Null | Kind::Seq(_) | Kind::Map(_) => 0,
        };
        self.count(1, text_bytes, node.span)?;
        if anchor != 0 {
            let (nodes, text_bytes) = weigh(&node);
            self.count(nodes, text_bytes, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node)
    }

    fn count(&mut self, nodes: usize, text_bytes: usize, span: Span) -> Result<(), Problem> {
        self.nodes += nodes;
        self.text_bytes += text_bytes;
        if self.nodes > MAX_NODES || self.text_bytes > MAX_TEXT_BYTES {
            return Err(Problem::new(
                span,
                format!("more than {MAX_NODES} values or {MAX_TEXT_BYTES} bytes of text"),
                Some("a scenario describes groups of devices; each use of an alias counts with all that it stands for".into()),
            ));
        }
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::Seq(items)) => items.push(node),
            Some(Content::Map {
                entries,
                names,
                key: waiting,
            }) => match waiting.take() {
                Some(key) => entries.push((key, node)),
                None => *waiting = Some(key(node, names)?),
            },
        }
        Ok(())
    }
}

fn key(node: Node, names: &mut BTreeSet<String>) -> Result<Key, Problem> {
    let text = match node.kind {
        Kind::Scalar { text, .. } => text,
        Kind::Null => {
            return Err(Problem::new(
                node.span,
                "a key is missing before the `:`",
                None,
            ));
        }
        Kind::Seq(_) | Kind::Map(_) => {
            return Err(Problem::new(
                node.span,
                "a key must be a word",
                Some("put quotes around a value that begins with `{` or `[`".into()),
            ));
        }
    };
    if text == "<<" {
        return Err(Problem::new(
            node.span,
            "merge keys (`<<`) are not allowed",
            Some("write the keys out".into()),
        ));
    }
    if !names.insert(text.clone()) {
        return Err(Problem::new(
            node.span,
            format!("`{text}` stands here twice"),
            Some("keep one of the two".into()),
        ));
    }
    Ok(Key {
        text,
        span: node.span,
    })
}

fn no_tag(tagged: bool, place: Span) -> Result<(), Problem> {
    if tagged {
        return Err(Problem::new(
            place,
            "tags (`!…`) are not allowed",
            Some("write the value without its tag, in quotes if it begins with `!`".into()),
        ));
    }
    Ok(())
}

/// Number of values in `node`, and bytes of text.
fn weigh(node: &Node) -> (usize, usize) {
    let sum = |(n, b): (usize, usize), (m, c): (usize, usize)| (n + m, b + c);
    match &node.kind {
        Kind::Null => (1, 0),
        Kind::Scalar { text, .. } => (1, text.len()),
        Kind::Seq(items) => items.iter().map(weigh).fold((1, 0), sum),
        Kind::Map(entries) => entries
            .iter()
            .map(|(key, value)| sum((1, key.text.len()), weigh(value)))
            .fold((1, 0), sum),
    }
}

fn span(place: &YamlSpan) -> Span {
    let range = place.byte_range().unwrap_or_default();
    Span {
        start: range.start,
        end: range.end,
    }
}
