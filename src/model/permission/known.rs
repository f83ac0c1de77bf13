//! Every permission of JOC, any of which a role can be granted.

use super::{
    CANCEL_ORDERS, CONFIRM_ORDERS, CREATE_ORDERS, MODIFY_ORDERS, Permission, RESUME_FAILED_ORDERS,
    SUSPEND_RESUME_ORDERS, VIEW_AUDIT_LOG, VIEW_CONTROLLER, VIEW_ORDERS, VIEW_WORKFLOWS,
};
use crate::model::invalid::Invalid;
use crate::model::suggest::closest;

/// Where JOC's response has a permission that belongs to no controller.
pub const OF_JOC: &[(&str, Permission)] = &[
    ("getLog", "sos:products:joc:get_log"),
    ("administration.accounts.view", "sos:products:joc:administration:accounts:view"),
    ("administration.accounts.manage", "sos:products:joc:administration:accounts:manage"),
    ("administration.settings.view", "sos:products:joc:administration:settings:view"),
    ("administration.settings.manage", "sos:products:joc:administration:settings:manage"),
    ("administration.controllers.view", "sos:products:joc:administration:controllers:view"),
    ("administration.controllers.manage", "sos:products:joc:administration:controllers:manage"),
    ("administration.certificates.view", "sos:products:joc:administration:certificates:view"),
    ("administration.certificates.manage", "sos:products:joc:administration:certificates:manage"),
    ("administration.customization.view", "sos:products:joc:administration:customization:view"),
    ("administration.customization.manage", "sos:products:joc:administration:customization:manage"),
    ("administration.customization.share", "sos:products:joc:administration:customization:share"),
    ("cluster.manage", "sos:products:joc:cluster:manage"),
    ("inventory.view", "sos:products:joc:inventory:view"),
    ("inventory.manage", "sos:products:joc:inventory:manage"),
    ("inventory.deploy", "sos:products:joc:inventory:deploy"),
    ("calendars.view", "sos:products:joc:calendars:view"),
    ("documentations.view", "sos:products:joc:documentations:view"),
    ("documentations.manage", "sos:products:joc:documentations:manage"),
    ("auditLog.view", VIEW_AUDIT_LOG),
    ("dailyPlan.view", "sos:products:joc:dailyplan:view"),
    ("dailyPlan.manage", "sos:products:joc:dailyplan:manage"),
    ("fileTransfer.view", "sos:products:joc:filetransfer:view"),
    ("fileTransfer.manage", "sos:products:joc:filetransfer:manage"),
    ("notification.view", "sos:products:joc:notification:view"),
    ("notification.manage", "sos:products:joc:notification:manage"),
    ("encipherment.encrypt", "sos:products:joc:encipherment:encrypt"),
    ("reports.view", "sos:products:joc:reports:view"),
    ("reports.manage", "sos:products:joc:reports:manage"),
    ("others.view", "sos:products:joc:others:view"),
    ("others.manage", "sos:products:joc:others:manage"),
];

/// Where JOC's response has a permission for a controller.
pub const OF_CONTROLLER: &[(&str, Permission)] = &[
    ("view", VIEW_CONTROLLER),
    ("restart", "sos:products:controller:restart"),
    ("terminate", "sos:products:controller:terminate"),
    ("getLog", "sos:products:controller:get_log"),
    ("switchOver", "sos:products:controller:switch_over"),
    ("deployments.view", "sos:products:controller:deployment:view"),
    ("deployments.deploy", "sos:products:controller:deployment:deploy"),
    ("orders.view", VIEW_ORDERS),
    ("orders.create", CREATE_ORDERS),
    ("orders.cancel", CANCEL_ORDERS),
    ("orders.modify", MODIFY_ORDERS),
    ("orders.suspendResume", SUSPEND_RESUME_ORDERS),
    ("orders.resumeFailed", RESUME_FAILED_ORDERS),
    ("orders.confirm", CONFIRM_ORDERS),
    ("orders.managePositions", "sos:products:controller:orders:manage_positions"),
    ("agents.view", "sos:products:controller:agents:view"),
    ("noticeBoards.view", "sos:products:controller:noticeboards:view"),
    ("noticeBoards.post", "sos:products:controller:noticeboards:post"),
    ("noticeBoards.delete", "sos:products:controller:noticeboards:delete"),
    ("locks.view", "sos:products:controller:locks:view"),
    ("workflows.view", VIEW_WORKFLOWS),
];

/// Rejects a permission that JOC does not have, and suggests a similar one. Permissions that only
/// JOC uses are accepted, so that its roles can be taken over unchanged.
///
/// # Errors
///
/// If it is neither a permission nor the beginning of one, up to a `:`.
pub fn check_permission(name: &str) -> Result<(), Invalid> {
    if permissions().any(|known| known == name) {
        return Ok(());
    }
    let unknown = format!("unknown permission {}", name.escape_debug());
    let problem = match closest(name, permissions(), ':') {
        Some(meant) => format!("{unknown}; did you mean {meant}?"),
        None => format!("{unknown}; expected a name such as {CANCEL_ORDERS}"),
    };
    Err(Invalid::new("permission", problem))
}

/// Every permission, and every prefix that grants all permissions below it; some more than once.
pub fn permissions() -> impl Iterator<Item = &'static str> {
    let permissions = OF_JOC.iter().chain(OF_CONTROLLER).map(|(_, permission)| *permission);
    // `sos` by itself is not a permission.
    permissions.flat_map(|name| {
        let ends = name.match_indices(':').map(|(end, _)| end).skip(1).chain([name.len()]);
        ends.map(|end| &name[..end]).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_permission_and_its_beginnings() {
        for name in [
            "sos:products",
            "sos:products:joc",
            "sos:products:joc:administration",
            "sos:products:joc:administration:accounts:manage",
            "sos:products:controller",
            "sos:products:controller:orders",
            CANCEL_ORDERS,
            "sos:products:controller:locks:view",
        ] {
            assert_eq!(check_permission(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_the_permission_that_may_be_meant() {
        for (name, meant) in [
            ("sos:products:controller:orders:cancle", Some(CANCEL_ORDERS)),
            ("sos:products:controler:orders:view", Some(VIEW_ORDERS)),
            ("SOS:PRODUCTS:controller:orders:cancel", Some(CANCEL_ORDERS)),
            ("orders:cancel", Some(CANCEL_ORDERS)),
            ("orders", Some("sos:products:controller:orders")),
            ("auditlog:view", Some(VIEW_AUDIT_LOG)),
            ("sos:products:", Some("sos:products")),
            ("sos:products:controller:orders:cancel:x", Some(CANCEL_ORDERS)),
            ("sos", None),
            ("", None),
            ("everything that there is", None),
        ] {
            let problem = check_permission(name).unwrap_err().to_string();
            match meant {
                Some(meant) => {
                    assert!(problem.ends_with(&format!("; did you mean {meant}?")), "{problem}");
                }
                None => assert!(!problem.contains("did you mean"), "{problem}"),
            }
        }
    }
}
