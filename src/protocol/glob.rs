//! Shell patterns.
//!
//! # Celery
//! Python's `fnmatch`, which kombu uses for the nodes that a remote control request is for, and Celery for the names of routes.

/// Whether a text matches a shell pattern (`*`, `?`, `[a-z]`, `[!a-z]`), as Python's `fnmatch` has it.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The last star and how much it has taken so far: on a mismatch it takes one more.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, t));
            p += 1;
        } else if let Some(next) = step(&pattern, p, text[t]) {
            (p, t) = (next, t + 1);
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (p, t) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// The place after the pattern's element at `p`, if that element takes this character.
fn step(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match *pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => {
            let negated = pattern.get(p + 1) == Some(&'!');
            let first = p + 1 + usize::from(negated);
            // A `]` right after the bracket belongs to the set; a set that is never closed is a plain bracket.
            let Some(length) = pattern.get(first + 1..).and_then(|rest| rest.iter().position(|&c| c == ']')) else {
                return (c == '[').then_some(p + 1);
            };
            let set = &pattern[first..=first + length];
            (in_set(set, c) != negated).then_some(first + length + 2)
        }
        plain => (plain == c).then_some(p + 1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let mut at = 0;
    while at < set.len() {
        if at + 2 < set.len() && set[at + 1] == '-' {
            if (set[at]..=set[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
        } else {
            if set[at] == c {
                return true;
            }
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_patterns_match_as_in_python() {
        for (pattern, text, expected) in [
            ("feed.*", "feed.tasks.run", true),
            ("feed.*", "feed", false),
            ("*.run", "a.b.run", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("t?sk*", "task.x", true),
            ("t[a-e]sk*", "task", true),
            ("t[!a-e]sk*", "task", false),
            ("t[]x]*", "t]", true),
            ("t[*", "t[abc", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
