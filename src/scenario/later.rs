//! Words that DESIGN reserves for later editions: a scenario that uses one gets a clear "not yet".

/// What to do instead of `word`, if it is a reserved word that is not understood yet and none of
/// the `expected` words.
pub(super) fn sentence(word: &str, expected: &[&str]) -> Option<&'static str> {
    if expected.contains(&word) {
        return None;
    }
    WORDS
        .iter()
        .find(|(later, beside, _)| *later == word && expected.contains(beside))
        .map(|(_, _, sentence)| *sentence)
}

/// (word, a word that is valid in the same place, what to do instead).
const WORDS: &[(&str, &str, &str)] = &[
    ("network", "backend", NETWORK),
    ("device", "backend", DEVICE),
    ("power_cut", "backend", DEVICE),
    ("crash", "backend", DEVICE),
];

const NETWORK: &str = "the network faults of this version are `outage: reset`, `close`, `refuse`, `dns`, `blackhole`, and `degrade`";
const DEVICE: &str =
    "device faults come with a later version; there are `backend` and `outage` faults";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_word_is_named_only_where_it_belongs() {
        assert!(sentence("network", &["backend", "outage", "at", "for"]).is_some());
        assert!(sentence("network", &["nodes"]).is_none());
        assert!(sentence("network", &["network", "backend"]).is_none());
    }
}
