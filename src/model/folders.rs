//! A set of folders, none of which lies in another. So a lookup is a search and an intersection is
//! a merge, however many folders a client or an operator names.

use std::cmp::Ordering;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::checks::check_folder;
use crate::model::invalid::Invalid;
use crate::model::texts;

/// A folder of workflows, with or without the folders below it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Folder {
    /// An absolute path; `/` is the root.
    #[schemars(with = "texts::FolderPath")]
    pub folder: String,
    /// Whether the folders below it are meant too; JOC's default is that they are.
    #[serde(default = "recursive_by_default", deserialize_with = "recursive_or_default")]
    #[schemars(with = "Option<bool>")]
    pub recursive: bool,
}

impl Folder {
    /// Whether it covers `folder`: is the same, or recursive and above it.
    pub fn contains(&self, folder: &str) -> bool {
        match folder.strip_prefix(self.folder.as_str()) {
            Some("") => true,
            Some(rest) => self.recursive && (self.folder == "/" || rest.starts_with('/')),
            None => false,
        }
    }

    /// Whether `other` covers all that it covers.
    pub fn lies_in(&self, other: &Self) -> bool {
        other.contains(&self.folder) && (other.recursive || !self.recursive)
    }
}

fn recursive_by_default() -> bool {
    true
}

fn recursive_or_default<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_else(recursive_by_default))
}

/// Rejects `folders` if one of them is not a folder.
pub fn check_folders(folders: &[Folder]) -> Result<(), Invalid> {
    let mut all = folders.iter().enumerate();
    all.try_for_each(|(i, f)| check_folder(&format!("folders[{i}].folder"), &f.folder))
}

/// Folders, none of which lies in another, ordered by their names from the root on: the folders in
/// a folder directly follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders(Vec<Folder>);

impl Folders {
    /// The folders, without those that lie in others.
    pub fn of(mut folders: Vec<Folder>) -> Self {
        // For the same folder, the recursive entry comes first.
        folders.sort_by(|a, b| by_names(&a.folder, &b.folder).then(b.recursive.cmp(&a.recursive)));
        let mut kept: Vec<Folder> = Vec::with_capacity(folders.len());
        for folder in folders {
            if kept.last().is_none_or(|last| !last.contains(&folder.folder)) {
                kept.push(folder);
            }
        }
        Self(kept)
    }

    /// As [`Folders::of`], but checks each folder first.
    ///
    /// # Errors
    ///
    /// The first invalid folder.
    pub fn checked(folders: Vec<Folder>) -> Result<Self, Invalid> {
        check_folders(&folders)?;
        Ok(Self::of(folders))
    }

    /// Whether a folder is among them, or lies in one of them.
    pub fn contain(&self, folder: &str) -> bool {
        let after = self.0.partition_point(|f| by_names(&f.folder, folder) != Ordering::Greater);
        after > 0 && self.0[after - 1].contains(folder)
    }

    /// The folders that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut these, mut those) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(this), Some(that)) = (these.peek(), those.peek()) {
            if this.lies_in(that) {
                both.extend(these.next().cloned());
            } else if that.lies_in(this) {
                both.extend(those.next().cloned());
            } else if by_names(&this.folder, &that.folder) == Ordering::Less {
                these.next();
            } else {
                those.next();
            }
        }
        Self(both)
    }

    /// Whether they cover every folder.
    pub fn are_all(&self) -> bool {
        self.0.first().is_some_and(|folder| folder.recursive && folder.folder == "/")
    }
}

impl Deref for Folders {
    type Target = [Folder];

    fn deref(&self) -> &[Folder] {
        &self.0
    }
}

/// By names from the root on: `/a/b` before `/a-b`, the reverse of the order of their bytes.
fn by_names(a: &str, b: &str) -> Ordering {
    fn names(folder: &str) -> impl Iterator<Item = &str> {
        folder.split('/').filter(|name| !name.is_empty())
    }
    names(a).cmp(names(b))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn folders() -> impl Strategy<Value = Vec<Folder>> {
        let folder = "/|(/[ab-]{1,2}){1,3}".prop_map(String::from);
        vec((folder, any::<bool>()), 0..8).prop_map(|folders| {
            folders.into_iter().map(|(folder, recursive)| Folder { folder, recursive }).collect()
        })
    }

    /// Every folder of the tests, and one below each.
    fn every_folder() -> Vec<String> {
        let names: Vec<String> = ["a", "b", "-"]
            .iter()
            .flat_map(|a| ["", "a", "b", "-"].map(|b| format!("/{a}{b}")))
            .collect();
        let below = |folders: &[String]| -> Vec<String> {
            folders
                .iter()
                .flat_map(|f| names.iter().map(move |name| format!("{f}{name}")))
                .collect()
        };
        let two = below(&names);
        let three = below(&two[..24]);
        [vec!["/".into()], names.clone(), two, three].concat()
    }

    fn meant(folders: &[Folder], folder: &str) -> bool {
        folders.iter().any(|f| f.contains(folder))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn they_mean_what_the_list_means(list in folders()) {
            let set = Folders::of(list.clone());
            for folder in every_folder() {
                let expected = meant(&list, &folder);
                prop_assert_eq!(set.contain(&folder), expected, "{} in {:?}", &folder, &set);
                prop_assert_eq!(meant(&set, &folder), expected, "{} in {:?}", &folder, &set);
            }
            for (i, folder) in set.iter().enumerate() {
                let others = set.iter().enumerate().filter(|(j, _)| *j != i);
                prop_assert!(others.into_iter().all(|(_, other)| !folder.lies_in(other)));
            }
        }

        #[test]
        fn an_intersection_is_what_both_mean(a in folders(), b in folders()) {
            let both = Folders::of(a.clone()).intersection(&Folders::of(b.clone()));
            prop_assert_eq!(&both, &Folders::of(both.to_vec()));
            for folder in every_folder() {
                let expected = meant(&a, &folder) && meant(&b, &folder);
                prop_assert_eq!(both.contain(&folder), expected, "{} in {:?}", &folder, &both);
            }
        }
    }

    proptest! {
        #[test]
        fn a_folder_contains_what_begins_with_its_names(
            folder in "/|(/[ab%]{1,2}){1,3}", other in "/|(/[ab%]{1,2}){1,4}", recursive in any::<bool>(),
        ) {
            fn names(folder: &str) -> Vec<&str> {
                folder.split('/').filter(|name| !name.is_empty()).collect()
            }
            let contains = Folder { folder: folder.clone(), recursive }.contains(&other);
            let below = names(&other).starts_with(&names(&folder));
            prop_assert_eq!(contains, below && (recursive || folder == other));
        }
    }

    #[test]
    fn hundreds_of_thousands_take_no_time() {
        let many = |recursive| {
            let folder = |i| Folder { folder: format!("/f{}/g{i}", i % 1000), recursive };
            Folders::of((0..350_000).map(folder).collect())
        };
        let (deep, flat) = (many(true), many(false));
        assert_eq!(deep.len(), 350_000);
        assert_eq!(deep.intersection(&flat), flat);
        assert!((0..350_000).all(|i| deep.contain(&format!("/f{}/g{i}/h", i % 1000))));
    }
}
