//! Checks of the ids, names and paths in requests.

use crate::model::invalid::{Invalid, quoted};

/// The longest order id, workflow path or version, in characters.
pub const MAX_NAME: usize = 255;
/// The longest controller id, in characters.
pub const MAX_CONTROLLER_ID: usize = 100;
/// The controller id of audit entries that belong to no controller, as in JOC.
pub const NO_CONTROLLER: &str = "-";
/// Characters that JOC's schema forbids in a `controllerId`.
const NOT_IN_CONTROLLER_ID: &str = r#"/\<>?!&:;()"|*^"#;

/// Rejects what cannot be a controller id.
pub fn check_controller_id(id: &str) -> Result<(), Invalid> {
    check_text("controllerId", id, MAX_CONTROLLER_ID)?;
    match id.chars().find(|c| NOT_IN_CONTROLLER_ID.contains(*c)) {
        Some(c) => Err(Invalid::new("controllerId", format!("'{c}' is not allowed in it"))),
        None => Ok(()),
    }
}

/// Rejects what cannot be a controller in the database: as [`check_controller_id`], and also
/// [`NO_CONTROLLER`].
pub fn check_stored_controller_id(id: &str) -> Result<(), Invalid> {
    check_controller_id(id)?;
    if id == NO_CONTROLLER {
        let problem = format!("'{NO_CONTROLLER}' stands for no controller");
        return Err(Invalid::new("controllerId", problem));
    }
    Ok(())
}

/// Rejects what is neither the path of a workflow nor its name.
pub fn check_workflow_path(field: &str, path: &str) -> Result<(), Invalid> {
    check_name(field, path)?;
    if path.starts_with('/') {
        check_segments(field, path)
    } else if path.contains('/') {
        let problem = format!("{} is neither an absolute path nor a name", quoted(path));
        Err(Invalid::new(field, problem))
    } else {
        Ok(())
    }
}

/// Rejects what is not a folder: `/`, or `/a/b` without a trailing `/`.
pub fn check_folder(field: &str, folder: &str) -> Result<(), Invalid> {
    check_name(field, folder)?;
    if folder == "/" { Ok(()) } else { check_segments(field, folder) }
}

/// Rejects what cannot be a folder or path in the database: as [`check_folder`], and also parts
/// that are `.` or `..`.
pub fn check_stored_folder(field: &str, folder: &str) -> Result<(), Invalid> {
    check_folder(field, folder)?;
    if folder.split('/').any(|name| matches!(name, "." | "..")) {
        let problem = format!("{} has a part that is . or ..", quoted(folder));
        return Err(Invalid::new(field, problem));
    }
    Ok(())
}

/// Rejects what is not a name, path, id or version: 1 to 255 characters, no control characters.
pub fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    check_text(field, name, MAX_NAME)
}

fn check_text(field: &str, text: &str, max: usize) -> Result<(), Invalid> {
    let length = text.chars().take(max + 1).count();
    if length == 0 {
        Err(Invalid::new(field, "is empty"))
    } else if length > max {
        Err(Invalid::new(field, format!("is longer than {max} characters")))
    } else if text.chars().any(|c| c.is_ascii_control()) {
        Err(Invalid::new(field, format!("{} has a control character", quoted(text))))
    } else {
        Ok(())
    }
}

fn check_segments(field: &str, path: &str) -> Result<(), Invalid> {
    let well_formed =
        path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|name| !name.is_empty()));
    if well_formed {
        Ok(())
    } else {
        let problem = format!("{} is not an absolute path such as /sos/billing", quoted(path));
        Err(Invalid::new(field, problem))
    }
}
