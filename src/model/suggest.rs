//! What may be meant by a name that nobody knows.

/// The candidate that is most like a name, if any is like it at all: as long a text may have one
/// wrong letter in four.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(MAX_NAME).flat_map(char::to_lowercase).collect();
    let distance = |candidate: &str| strsim::osa_distance(&name, &candidate.to_lowercase());
    let close = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    let limit = name.chars().count().div_ceil(4);
    close.filter(|(distance, _)| *distance <= limit).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// How much of a name is compared: nothing that is known is longer.
const MAX_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_close_and_nothing_else() {
        let names = ["Europe/Berlin", "Europe/Dublin", "UTC"];
        assert_eq!(closest("Europe/Berlni", names), Some("Europe/Berlin"));
        assert_eq!(closest("europe/berlin", names), Some("Europe/Berlin"));
        assert_eq!(closest("UCT", names), Some("UTC"));
        assert_eq!(closest("Asia/Tokyo", names), None);
        assert_eq!(closest("", names), None);
        assert_eq!(closest(&"x".repeat(100_000), names), None);
    }
}
