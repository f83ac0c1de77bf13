//! The endpoints that change orders: what the service and its command line say of each.

/// What JOC puts before [`ChangeKind::nothing_found`]; its Java clients look for it.
pub const NOT_EXIST: &str = "ControllerObjectNotExistException: ";

/// An endpoint that changes orders.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangeKind {
    /// Its path below the base; with `/preview`, that of its preview.
    pub path: &'static str,
    /// The change as a command: `Cancel`.
    pub verb: &'static str,
    /// The change once it is done: `cancelled`.
    pub done: &'static str,
    /// The fields of a preview that count orders by effect, each with its verb.
    pub counts: &'static [(&'static str, &'static str)],
    /// The error if the change applies to none of the selected orders, as JOC words it after
    /// [`NOT_EXIST`].
    pub nothing_found: &'static str,
    /// Whether terminal orders can be selected.
    pub reaches_terminal: bool,
}

impl ChangeKind {
    /// The change, as metrics name it: `cancel`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// `/orders/cancel`
pub const CANCEL: ChangeKind = ChangeKind {
    path: "/orders/cancel",
    verb: "Cancel",
    done: "cancelled",
    counts: &[("cancelled", "cancel"), ("marked", "mark"), ("killed", "kill")],
    nothing_found: "No orders found.",
    reaches_terminal: false,
};
/// `/orders/suspend`
pub const SUSPEND: ChangeKind = ChangeKind {
    path: "/orders/suspend",
    verb: "Suspend",
    done: "suspended",
    counts: &[("suspended", "suspend"), ("marked", "mark"), ("killed", "kill")],
    nothing_found: "No suspendible orders found.",
    reaches_terminal: false,
};
/// `/orders/resume`
pub const RESUME: ChangeKind = ChangeKind {
    path: "/orders/resume",
    verb: "Resume",
    done: "resumed",
    counts: &[("resumed", "resume")],
    nothing_found: "No resumable orders found.",
    reaches_terminal: false,
};
/// `/orders/confirm`
pub const CONFIRM: ChangeKind = ChangeKind {
    path: "/orders/confirm",
    verb: "Confirm",
    done: "confirmed",
    counts: &[("confirmed", "confirm")],
    nothing_found: "No prompting orders found.",
    reaches_terminal: false,
};
/// `/orders/continue`
pub const CONTINUE: ChangeKind = ChangeKind {
    path: "/orders/continue",
    verb: "Continue",
    done: "continued",
    counts: &[("continued", "continue")],
    nothing_found: "No orders found.",
    reaches_terminal: false,
};
/// `/orders/change`
pub const CHANGE: ChangeKind = ChangeKind {
    path: "/orders/change",
    verb: "Change",
    done: "changed",
    counts: &[("changed", "change")],
    nothing_found: "No orders found.",
    reaches_terminal: false,
};
/// `/orders/remove_when_terminated`
pub const REMOVE_WHEN_TERMINATED: ChangeKind = ChangeKind {
    path: "/orders/remove_when_terminated",
    verb: "Remove",
    done: "removed",
    counts: &[("removed", "remove"), ("removedWhenTerminated", "remove later")],
    nothing_found: "No orders found.",
    reaches_terminal: true,
};
/// `/orders/cancel/undo`
pub const UNDO: ChangeKind = ChangeKind {
    path: "/orders/cancel/undo",
    verb: "Restore",
    done: "restored",
    counts: &[("restored", "restore"), ("suspended", "restore suspended"), ("unmarked", "unmark")],
    nothing_found: "No orders to restore found.",
    reaches_terminal: false,
};
