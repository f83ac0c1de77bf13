//! Who may do what: JOC's permission names, the roles that grant them, and the folders that a
//! role is limited to.

use std::collections::BTreeSet;

use crate::model::folders::{Folder, Folders};
use crate::model::invalid::Invalid;

pub mod known;

/// A permission's name, as JOC spells it.
pub type Permission = &'static str;

/// List orders and their history.
pub const VIEW_ORDERS: Permission = "sos:products:controller:orders:view";
/// Add orders.
pub const CREATE_ORDERS: Permission = "sos:products:controller:orders:create";
/// Cancel orders and preview it.
pub const CANCEL_ORDERS: Permission = "sos:products:controller:orders:cancel";
/// Suspend orders, and resume those that are suspended.
pub const SUSPEND_RESUME_ORDERS: Permission = "sos:products:controller:orders:suspend_resume";
/// Resume orders that failed.
pub const RESUME_FAILED_ORDERS: Permission = "sos:products:controller:orders:resume_failed";
/// Confirm prompting orders.
pub const CONFIRM_ORDERS: Permission = "sos:products:controller:orders:confirm";
/// Change the priority of orders, continue waiting ones, hide terminal ones.
pub const MODIFY_ORDERS: Permission = "sos:products:controller:orders:modify";
/// List workflows and their folders.
pub const VIEW_WORKFLOWS: Permission = "sos:products:controller:workflows:view";
/// List the controllers.
pub const VIEW_CONTROLLER: Permission = "sos:products:controller:view";
/// Read the audit log.
pub const VIEW_AUDIT_LOG: Permission = "sos:products:joc:auditlog:view";

/// In [`Grant::controller_id`]: every controller.
pub const EVERY_CONTROLLER: &str = "*";

/// One permission of one role of an account, with the folders that the role is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// A permission; it grants every permission below it too.
    pub permission: String,
    /// The controller that it is for, or [`EVERY_CONTROLLER`].
    pub controller_id: String,
    /// The folders that the role is limited to; empty: no limit.
    pub folders: Vec<Folder>,
}

/// The folders whose orders an account can see and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// Every folder.
    Everything,
    /// These folders; never empty.
    Folders(Folders),
}

impl Visible {
    /// Whether a folder is among them.
    pub fn shows(&self, folder: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Folders(folders) => folders.contain(folder),
        }
    }
}

/// A change of the folders that a role is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Folders to add; an existing one takes the new setting for the folders below it.
    pub add: Vec<Folder>,
    /// Folders to remove, before the others are added.
    pub remove: Vec<String>,
}

impl Limits {
    /// Applies the change to a role's folders and sorts the result by folder.
    ///
    /// # Errors
    ///
    /// If a folder to remove is not there, or none would be left: a role without folders is
    /// unlimited, which removing a folder is not meant to cause.
    pub fn applied_to(&self, folders: &[Folder]) -> Result<Vec<Folder>, Invalid> {
        let mut folders = folders.to_vec();
        for name in &self.remove {
            let at = folders.iter().position(|folder| folder.folder == *name);
            let at = at.ok_or_else(|| {
                Invalid::new("remove", format!("the role is not limited to {name}"))
            })?;
            folders.remove(at);
        }
        for added in &self.add {
            folders.retain(|folder| folder.folder != added.folder);
            folders.push(added.clone());
        }
        if folders.is_empty() {
            let problem = "no folder would be left; to lift the limit use --none";
            return Err(Invalid::new("remove", problem));
        }
        folders.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(folders)
    }
}

/// Where an account has a permission, over all controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// On these controllers.
    pub controllers: Vec<(String, Visible)>,
    /// On every other one; `None`: nowhere else.
    pub elsewhere: Option<Visible>,
}

/// An account that is logged in, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account's name.
    pub account: String,
    /// Its roles' names, in their order.
    pub roles: Vec<String>,
    /// What its roles grant.
    pub grants: Vec<Grant>,
}

impl Principal {
    /// Where the account has the permission on the controller; `None`: nowhere.
    ///
    /// Roles add up: one role that is not limited lifts the limits of the others.
    pub fn may(&self, permission: Permission, controller_id: &str) -> Option<Visible> {
        let mut folders = Vec::new();
        let mut granted = false;
        for grant in &self.grants {
            if !grant.covers(permission, controller_id) {
                continue;
            }
            if grant.folders.is_empty() {
                return Some(Visible::Everything);
            }
            granted = true;
            folders.extend(grant.folders.iter().cloned());
        }
        granted.then(|| Visible::Folders(Folders::of(folders)))
    }

    /// Whether the account has any permission on the controller.
    pub fn has_grant_for(&self, controller_id: &str) -> bool {
        self.grants.iter().any(|grant| grant.is_for(controller_id))
    }

    /// Where the account has the permission at all; `None`: nowhere.
    pub fn extent(&self, permission: Permission) -> Option<Extent> {
        let elsewhere = self.may(permission, EVERY_CONTROLLER);
        let named: BTreeSet<&str> =
            self.grants.iter().map(|grant| grant.controller_id.as_str()).collect();
        let controllers: Vec<(String, Visible)> = named
            .into_iter()
            .filter_map(|controller| Some((controller.into(), self.may(permission, controller)?)))
            .filter(|(_, visible)| elsewhere.as_ref() != Some(visible))
            .collect();
        let somewhere = elsewhere.is_some() || !controllers.is_empty();
        somewhere.then_some(Extent { controllers, elsewhere })
    }
}

impl Extent {
    /// One controller and no other.
    pub fn only(controller_id: String, visible: Visible) -> Self {
        Self { controllers: vec![(controller_id, visible)], elsewhere: None }
    }
}

impl Grant {
    fn covers(&self, permission: Permission, controller_id: &str) -> bool {
        let below = permission.strip_prefix(self.permission.as_str());
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            && self.is_for(controller_id)
    }

    fn is_for(&self, controller_id: &str) -> bool {
        self.controller_id == EVERY_CONTROLLER || self.controller_id == controller_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(grants: &[(&str, &str, &[&str])]) -> Principal {
        let grants = grants.iter().map(|(permission, controller_id, folders)| Grant {
            permission: (*permission).into(),
            controller_id: (*controller_id).into(),
            folders: folders
                .iter()
                .map(|folder| Folder { folder: (*folder).into(), recursive: true })
                .collect(),
        });
        Principal { account: "a".into(), roles: vec![], grants: grants.collect() }
    }

    #[test]
    fn a_prefix_grants_what_is_below_it_and_only_that() {
        for granted in ["sos:products", "sos:products:controller", CANCEL_ORDERS] {
            let may = principal(&[(granted, "*", &[])]).may(CANCEL_ORDERS, "c");
            assert_eq!(may, Some(Visible::Everything), "{granted}");
        }
        for other in ["sos:products:controller:orders:can", "sos:products:joc", "sos:product"] {
            assert_eq!(principal(&[(other, "*", &[])]).may(CANCEL_ORDERS, "c"), None, "{other}");
        }
    }

    #[test]
    fn a_grant_for_one_controller_says_nothing_of_another() {
        let principal = principal(&[("sos:products", "east", &[])]);
        assert!(principal.may(CANCEL_ORDERS, "east").is_some());
        assert!(principal.may(CANCEL_ORDERS, "west").is_none());
    }

    #[test]
    fn an_extent_tells_controllers_apart_only_where_they_differ() {
        let extent = |grants| principal(grants).extent(VIEW_AUDIT_LOG);
        let everywhere = Extent { controllers: vec![], elsewhere: Some(Visible::Everything) };
        assert_eq!(
            extent(&[("sos:products", "*", &[]), ("sos", "east", &["/a"])]),
            Some(everywhere)
        );
        assert_eq!(extent(&[(CANCEL_ORDERS, "*", &[]), (CANCEL_ORDERS, "east", &[])]), None);
        let limited = extent(&[
            ("sos:products", "*", &["/a"]),
            (CANCEL_ORDERS, "west", &[]),
            (VIEW_AUDIT_LOG, "east", &[]),
        ])
        .unwrap();
        assert_eq!(limited.controllers, [("east".into(), Visible::Everything)]);
        assert!(matches!(limited.elsewhere, Some(Visible::Folders(folders)) if folders.len() == 1));
        let one = extent(&[("sos:products:joc", "east", &[])]).unwrap();
        assert_eq!(one, Extent::only("east".into(), Visible::Everything));
    }

    #[test]
    fn a_limit_changes_folder_by_folder() {
        let folder = |name: &str, recursive| Folder { folder: name.into(), recursive };
        let limits = |add: &[Folder], remove: &[&str]| Limits {
            add: add.to_vec(),
            remove: remove.iter().map(|name| (*name).into()).collect(),
        };
        let (a, b) = (folder("/a", true), folder("/b", true));
        let applied = limits(std::slice::from_ref(&a), &[]).applied_to(std::slice::from_ref(&b));
        assert_eq!(applied, Ok(vec![a.clone(), b.clone()]));
        let both = [a.clone(), b.clone()];
        assert_eq!(limits(&[], &["/a"]).applied_to(&both), Ok(vec![b]));
        let only = folder("/a", false);
        let applied = limits(std::slice::from_ref(&only), &["/b"]).applied_to(&both);
        assert_eq!(applied, Ok(vec![only]));
        assert!(limits(&[], &["/c"]).applied_to(&both).is_err());
        assert!(limits(&[], &["/a", "/b"]).applied_to(&both).is_err());
        assert!(limits(&[], &["/a"]).applied_to(&[]).is_err());
        assert_eq!(limits(std::slice::from_ref(&a), &[]).applied_to(&[]), Ok(vec![a]));
    }

    #[test]
    fn folders_add_up_and_a_role_without_any_lifts_them() {
        let limited = [("sos:products", "*", &["/a"][..]), ("sos:products", "*", &["/b"][..])];
        let Some(Visible::Folders(folders)) = principal(&limited).may(CANCEL_ORDERS, "c") else {
            panic!("limited to folders");
        };
        assert_eq!(folders.len(), 2);
        let lifted = [limited[0], ("sos:products:controller", "c", &[][..])];
        assert_eq!(principal(&lifted).may(CANCEL_ORDERS, "c"), Some(Visible::Everything));
        let other = [limited[0], ("sos:products:joc", "c", &[][..])];
        assert!(matches!(
            principal(&other).may(CANCEL_ORDERS, "c"),
            Some(Visible::Folders(folders)) if folders.len() == 1
        ));
    }
}
