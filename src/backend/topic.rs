//! Topic names and topic filters: what MQTT 3.1.1 section 4.7 allows in them, and where this
//! backend draws a line of its own.

/// Levels of a filter with a wildcard; a filter with more is refused. As deep as Mosquitto goes.
pub(super) const LEVELS_MAX: usize = 200;

/// The first level of the backend's own topics.
const SYS: &str = "$SYS";

/// Whether this backend routes by the filter: it is one by 4.7.1 and 4.7.3, and not too deep.
pub(super) fn is_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.contains('\0') {
        return false;
    }
    if !has_wildcard(filter) {
        return true;
    }
    let last = filter.matches('/').count();
    last < LEVELS_MAX
        && filter
            .split('/')
            .enumerate()
            .all(|(at, level)| match level {
                "+" => true,
                // The last character (4.7.1-2).
                "#" => at == last,
                // Beside other characters they are not allowed (4.7.1-2, 4.7.1-3).
                level => !has_wildcard(level),
            })
}

/// Whether a PUBLISH may carry the topic (3.3.2-2, 4.7.3-1, 4.7.3-2).
pub(super) fn is_topic(topic: &str) -> bool {
    // Without an early exit, so that the compiler may look at many bytes at once.
    let bad = topic
        .bytes()
        .fold(false, |bad, b| bad | matches!(b, b'+' | b'#' | 0));
    !topic.is_empty() && !bad
}

/// Whether a filter stands for more than the topic that it spells.
pub(super) fn has_wildcard(filter: &str) -> bool {
    filter.bytes().any(|b| matches!(b, b'+' | b'#'))
}

/// Whether no filter that begins with a wildcard matches the topic (4.7.2-1).
pub(super) fn is_hidden(topic: &str) -> bool {
    topic.starts_with('$')
}

/// Whether the topic is the backend's own, or the filter asks for such.
pub(super) fn is_sys(name: &str) -> bool {
    name.strip_prefix(SYS)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Section 4.7 level by level, without an index: what the indexes are held against.
#[cfg(test)]
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if is_hidden(topic) && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            (Some(_) | None, _) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4.7.1-1, 4.7.1-2, 4.7.1-3, 4.7.3-1.
    #[test]
    fn wildcards_stand_alone_and_the_multi_level_one_last() {
        for filter in [
            "a", "/", "+", "#", "+/+", "a/+/b", "+/#", "/#", "a//+", "$SYS/#",
        ] {
            assert!(is_filter(filter), "{filter:?}");
        }
        for filter in [
            "", "a+", "+a", "a/b+/c", "a/#/b", "a#", "#/", "##", "a\0", "a\0/+",
        ] {
            assert!(!is_filter(filter), "{filter:?}");
        }
        for topic in ["", "a/+", "#", "a\0b"] {
            assert!(!is_topic(topic), "{topic:?}");
        }
    }

    #[test]
    fn only_filters_with_wildcards_have_a_bounded_depth() {
        let levels = |n: usize| "a/".repeat(n - 1);
        assert!(is_filter(&(levels(LEVELS_MAX) + "#")));
        assert!(!is_filter(&(levels(LEVELS_MAX + 1) + "+")));
        assert!(is_filter(&(levels(LEVELS_MAX + 1) + "a")));
    }

    #[test]
    fn the_backends_own_topics_begin_with_a_level_and_not_with_letters() {
        for (name, expected) in [
            ("$SYS", true),
            ("$SYS/#", true),
            ("$SYSTEM/a", false),
            ("a/$SYS", false),
        ] {
            assert_eq!(is_sys(name), expected, "{name}");
        }
    }
}
