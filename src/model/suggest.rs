//! Suggests a known name for an unknown one.

/// The longest name to compare with the known ones, in bytes.
const MAX_NAME: usize = 100;
/// One mistake is tolerated for every so many characters of a name.
const CHARS_A_MISTAKE: usize = 5;

/// The candidate that a name probably means: one that differs only in case and a mistake or two, or
/// that ends with the name after a `separator`, as `Europe/Berlin` does for `Berlin`.
pub fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    separator: char,
) -> Option<&'a str> {
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    let wanted = name.to_lowercase();
    let mistakes = wanted.chars().count() / CHARS_A_MISTAKE;
    let distance = |candidate: &str| {
        let known = candidate.to_lowercase();
        match known.strip_suffix(&wanted) {
            Some(before) if before.ends_with(separator) => 0,
            _ => strsim::osa_distance(&known, &wanted),
        }
    };
    let measured = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    measured
        .filter(|(distance, _)| *distance <= mistakes)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len(), *candidate))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_close_and_nothing_else() {
        let names = ["Europe/Berlin", "Europe/Dublin", "UTC"];
        for (name, meant) in [
            ("Europe/Berlni", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("dublin", Some("Europe/Dublin")),
            ("ublin", None),
            ("UCT", None),
            ("Asia/Tokyo", None),
            ("", None),
        ] {
            assert_eq!(closest(name, names, '/'), meant, "{name}");
        }
        assert_eq!(closest(&"x".repeat(100_000), names, '/'), None);
    }
}
