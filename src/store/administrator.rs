//! Who administers the stores of this process.

use std::sync::OnceLock;

use crate::model::administrator::Administrator;

type Who = Box<dyn Fn() -> Administrator + Send + Sync>;

static WHO: OnceLock<Who> = OnceLock::new();

/// From now on, each change of accounts and roles and each migration by this process writes an
/// audit entry of this administrator. The program calls this at its start; a process that does not
/// writes none, such as one that uses the library to prepare a database. Further calls change
/// nothing.
pub fn administered_by(who: impl Fn() -> Administrator + Send + Sync + 'static) {
    let _known = WHO.set(Box::new(who));
}

/// The administrator of this process, if it is the program.
pub(super) fn administrator() -> Option<Administrator> {
    WHO.get().map(|who| who())
}
