//! Blanks out whatever could be a secret in the text that errors show. Positions stay as they are.

use super::errors::nearest;
use super::tree::{Kind, Node, Span};

/// `text` with every scalar that could hold a secret replaced by stars: values under `auth` (but
/// `username` and `csv`), values of keys that are or resemble the name of a secret, and the user
/// part of a URL. A value that is only a reference (`${env:NAME}`) is shown.
pub(super) fn with_tree(text: &str, root: &Node) -> String {
    let mut spans = Vec::new();
    collect(root, false, &mut spans);
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        for byte in bytes.iter_mut().take(span.end).skip(span.start) {
            if *byte != b'\n' {
                *byte = b'*';
            }
        }
    }
    // Whole scalars were replaced byte by byte, so what is left is UTF-8 as before.
    without_controls(&String::from_utf8(bytes).unwrap_or_default())
}

/// Control characters replaced, byte by byte, so that showing the text does nothing to a terminal.
fn without_controls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t' | '\r') {
            clean.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            clean.push(c);
        }
    }
    clean
}

/// `text` that could not be read as YAML: shown only if nothing in it looks like a secret.
pub(super) fn without_tree(text: &str) -> String {
    let lower = text.to_lowercase();
    let suspicious = ["pass", "auth", "token", "secret", "@"]
        .iter()
        .any(|word| lower.contains(word));
    if suspicious {
        // Line breaks alone keep the positions right.
        return text
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { '*' })
            .collect();
    }
    without_controls(text)
}

fn collect(node: &Node, secret: bool, spans: &mut Vec<Span>) {
    match &node.kind {
        Kind::Null => {}
        Kind::Scalar { text, .. } => {
            if has_userinfo(text) || (secret && !is_reference(text)) {
                spans.push(node.span);
            }
        }
        Kind::Seq(items) => items.iter().for_each(|item| collect(item, secret, spans)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                let open = secret && !matches!(key.text.as_str(), "username" | "csv");
                let inside = open || key.text == "auth" || names_a_secret(&key.text);
                collect(value, inside, spans);
            }
        }
    }
}

fn names_a_secret(key: &str) -> bool {
    nearest(
        &key.to_lowercase(),
        ["password", "passwd", "token", "secret"].into_iter(),
    )
    .is_some()
}

/// Whether `text` is one reference and nothing else.
fn is_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|inner| {
            (inner.starts_with("env:") || inner.starts_with("file:")) && !inner.contains(['{', '}'])
        })
}

fn has_userinfo(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'))
}
