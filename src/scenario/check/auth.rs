//! Credentials: templates, references to secrets, and the CSV of ids and tokens. No secret ever
//! enters an error.

use super::Checker;
use crate::scenario::file::Secrets;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{Auth, Secret};
use crate::scenario::template::{Segment, Template};
use crate::scenario::template_parse::{self, CSV_NAMES, NAMES};
use std::collections::BTreeSet;
use std::io::Read as _;

/// Largest file that `${file:…}` reads.
const MAX_SECRET_BYTES: u64 = 64 * 1024;
/// Largest credentials CSV.
const MAX_CSV_BYTES: u64 = 1024 * 1024 * 1024;

/// Which field of `auth` a text stands in.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Part {
    Username,
    Password,
}

impl Checker<'_> {
    /// The credentials; secrets are read only if they are `used` and wanted.
    pub(super) fn auth(
        &mut self,
        auth: Option<&At<mirror::Auth>>,
        devices: u32,
        used: bool,
    ) -> Auth {
        let Some(auth) = auth else {
            return Auth::default();
        };
        let read = used && self.inputs.secrets == Secrets::Resolve;
        let written = &auth.value;
        let csv = written.csv.as_ref();
        let mut checked = Auth {
            username: written
                .username
                .as_ref()
                .map(|text| self.credential(text, Part::Username, csv.is_some(), read)),
            password: written
                .password
                .as_ref()
                .map(|text| self.credential(text, Part::Password, csv.is_some(), read)),
            tokens: match (csv, self.inputs.secrets) {
                (Some(path), Secrets::Resolve) if used => self.csv(path, devices),
                (Some(path), Secrets::Ids) if used && self.shows_ids => self.ids(path, devices),
                (Some(_), Secrets::Resolve | Secrets::Ids | Secrets::Ignore) | (None, _) => {
                    Vec::new()
                }
            },
        };
        if csv.is_some() && checked.username.is_none() && checked.password.is_none() {
            checked.username = Some(Template(vec![Segment::Id]));
            checked.password = Some(Template(vec![Segment::Token]));
        }
        if let (Some(password), None) = (&written.password, &checked.username) {
            self.error(
                password.span,
                "MQTT 3.1.1 allows no password without a user name",
                "add `username: …`",
            );
        }
        checked
    }

    /// User name or password: a template with references to secrets.
    fn credential(&mut self, text: &At<String>, part: Part, csv: bool, read: bool) -> Template {
        let mut segments = Vec::new();
        let mut rest = text.value.as_str();
        while let Some(open) = rest.find("${") {
            let (before, from) = rest.split_at(open);
            segments.extend(self.plain(text, before, part, csv));
            let Some(close) = from.find('}') else {
                self.error(
                    text.span,
                    "a `${` has no `}`",
                    "write `${env:NAME}` or `${file:PATH}`",
                );
                return Template::default();
            };
            let secret = self.reference(text, &from[2..close], read);
            segments.push(Segment::Secret(secret));
            rest = &from[close + 1..];
        }
        segments.extend(self.plain(text, rest, part, csv));
        // Separators between placeholders are no secret; anything longer may be a part of one.
        let spelled_out = |segment: &Segment| matches!(segment, Segment::Literal(text) if text.chars().any(char::is_alphanumeric));
        let written = segments.is_empty() || segments.iter().any(spelled_out);
        if part == Part::Password && written {
            self.error(
                text.span,
                "the password stands in the file",
                "write `\"${env:NAME}\"` and put it into that environment variable",
            );
        }
        let template = Template(segments);
        match part {
            Part::Username => template,
            Part::Password => template_parse::hide(template),
        }
    }

    /// The part of a credential outside of references.
    fn plain(&mut self, text: &At<String>, plain: &str, part: Part, csv: bool) -> Vec<Segment> {
        let mut allowed = NAMES.to_vec();
        if csv {
            allowed.extend(CSV_NAMES);
        }
        match template_parse::parse(plain, &allowed) {
            Ok(template) => template.0,
            Err(unknown) => {
                let needs_csv = CSV_NAMES.contains(&unknown.word.as_str());
                let message = match part {
                    _ if needs_csv => format!("`{{{}}}` needs `csv: …` in `auth`", unknown.word),
                    Part::Username => format!("unknown placeholder `{{{}}}`", unknown.word),
                    // What looks like a placeholder may be part of the password.
                    Part::Password => "unknown placeholder in the password".into(),
                };
                let words: Vec<String> = allowed.iter().map(|w| format!("{{{w}}}")).collect();
                self.error(
                    text.span,
                    message,
                    format!("valid here: {}", words.join(", ")),
                );
                Vec::new()
            }
        }
    }

    /// What `${inner}` stands for; empty if it is not to be read.
    fn reference(&mut self, text: &At<String>, inner: &str, read: bool) -> Secret {
        let found = match inner.split_once(':') {
            Some(("env", name)) if !name.is_empty() => {
                if !read {
                    return Secret::default();
                }
                std::env::var(name).map_err(|error| match error {
                    std::env::VarError::NotPresent => {
                        format!("the environment variable `{name}` is not set")
                    }
                    std::env::VarError::NotUnicode(_) => {
                        format!("the environment variable `{name}` is not UTF-8")
                    }
                })
            }
            Some(("file", path)) if !path.is_empty() => {
                if !read {
                    return Secret::default();
                }
                self.read_file(path, MAX_SECRET_BYTES)
                    .map(|content| content.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|error| format!("cannot read `{path}`: {error}"))
            }
            Some(_) | None => Err("a reference is `${env:NAME}` or `${file:PATH}`".into()),
        };
        match found {
            Ok(secret) if secret.is_empty() => {
                self.error(
                    text.span,
                    format!("`${{{inner}}}` is empty"),
                    "give it a value",
                );
                Secret::default()
            }
            Ok(secret) => Secret(secret),
            Err(message) => {
                let help = "export the variable, or use `${file:PATH}` (relative to the scenario)";
                self.error(text.span, message, help);
                Secret::default()
            }
        }
    }

    /// Row i of the CSV belongs to device i.
    fn csv(&mut self, path: &At<String>, devices: u32) -> Vec<(String, Secret)> {
        let content = match self.read_file(&path.value, MAX_CSV_BYTES) {
            Ok(content) => content,
            Err(error) => {
                self.error(
                    path.span,
                    format!("cannot read the credentials: {error}"),
                    "the path is relative to the scenario",
                );
                return Vec::new();
            }
        };
        match rows(&content, devices as usize) {
            Ok(rows) => {
                let misfit = |(id, _): &(String, Secret)| id.contains(['+', '#', '\0']);
                if self.has_ids_in_topics
                    && let Some(device) = rows.iter().position(misfit)
                {
                    self.error(
                        path.span,
                        format!("the id of device {device} has a `+`, `#` or U+0000 in it"),
                        "no topic may have one: use `{device}` there instead of `{id}`",
                    );
                }
                rows
            }
            Err((message, help)) => {
                self.error(path.span, message, help);
                Vec::new()
            }
        }
    }

    /// The same without the tokens.
    fn ids(&mut self, path: &At<String>, devices: u32) -> Vec<(String, Secret)> {
        let rows = self.csv(path, devices).into_iter();
        rows.map(|(id, _)| (id, Secret::default())).collect()
    }

    fn read_file(&self, path: &str, max: u64) -> Result<String, String> {
        let open = std::fs::File::open(self.inputs.base.join(path));
        let file = open.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(max + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > max {
            return Err(format!("it has more than {max} bytes"));
        }
        // The error of a failed conversion would carry the bytes.
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    }
}

/// The first `wanted` rows `id,token`; a first row `id,token` is a heading.
fn rows(content: &str, wanted: usize) -> Result<Vec<(String, Secret)>, (String, String)> {
    let help = || "each row is `id,token`; row i belongs to device i".to_owned();
    let mut rows = Vec::with_capacity(wanted.min(1 << 20));
    let mut ids = BTreeSet::new();
    for (index, line) in content.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() || (index == 0 && line == "id,token") {
            continue;
        }
        if rows.len() == wanted {
            break;
        }
        let pair = line
            .split_once(',')
            .filter(|(id, token)| !id.is_empty() && !token.is_empty());
        let Some((id, token)) = pair else {
            return Err((
                format!("row {} of the credentials is broken", index + 1),
                help(),
            ));
        };
        if !ids.insert(id) {
            return Err((
                format!("row {} of the credentials repeats an id", index + 1),
                "each device needs an id of its own".into(),
            ));
        }
        rows.push((id.to_owned(), Secret(token.to_owned())));
    }
    if rows.len() < wanted {
        return Err((
            format!(
                "the credentials have {} rows for {wanted} devices",
                rows.len()
            ),
            help(),
        ));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_belong_to_devices() {
        let parsed = rows("id,token\r\na,1\r\n\nb,2,3\nc,4\n", 2).expect("two rows");
        let plain: Vec<_> = parsed
            .iter()
            .map(|(id, t)| (id.as_str(), t.0.as_str()))
            .collect();
        assert_eq!(plain, [("a", "1"), ("b", "2,3")]);
        for (content, wanted) in [
            ("a,1\n", 2),
            ("a,1\na,2\n", 2),
            ("a\n", 1),
            (",1\n", 1),
            ("a,\n", 1),
        ] {
            let error = rows(content, wanted).expect_err(content);
            assert!(!error.0.contains("a,") && !error.1.contains("a,"));
        }
    }
}
