//! Who runs the program: the user of the operating system, for the audit trail.

use std::sync::LazyLock;

use clap::ArgMatches;

use crate::clock::Clock;
use crate::model::administrator::Administrator;
use crate::store;

/// The longest `SUDO_USER` to record, in characters.
const MAX_NAME: usize = 255;

/// The user, looked up once.
static USER: LazyLock<String> = LazyLock::new(|| format!("os:{}", user()));

/// Makes the store record what this command administers, by the user who runs it.
pub(super) fn record(matches: &ArgMatches) {
    let request = command(matches);
    let request_id = uuid::Uuid::new_v4().to_string();
    store::administered_by(move || Administrator {
        account: USER.clone(),
        sudo_user: sudo_user(),
        request: request.clone(),
        request_id: request_id.clone(),
        now: Clock::system().now(),
    });
}

/// The program and its subcommands: `joc-orders role assign`.
fn command(matches: &ArgMatches) -> String {
    let mut words = vec![env!("CARGO_PKG_NAME")];
    let mut at = matches;
    while let Some((name, below)) = at.subcommand() {
        words.push(name);
        at = below;
    }
    words.join(" ")
}

/// The user's name, or the number of a user without one.
#[cfg(unix)]
fn user() -> String {
    use nix::unistd::{User, getuid};

    let uid = getuid();
    let user = User::from_uid(uid).ok().flatten().filter(|user| !user.name.is_empty());
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

fn sudo_user() -> Option<String> {
    let name = std::env::var_os("SUDO_USER")?.to_string_lossy().into_owned();
    let name: String = name.chars().take(MAX_NAME).collect();
    (!name.is_empty()).then_some(name)
}
