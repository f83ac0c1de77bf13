//! `/tree`: the folders of workflows.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::context::body::{Object, RequestBody, inner};
use crate::http::context::lists::{Names, Words};
use crate::http::context::request::Request;
use crate::http::context::response::Delivered;
use crate::http::error::ApiError;
use crate::http::openapi::{Endpoint, Schemas, with_examples};
use crate::model::folders::{Folder, check_folders};
use crate::model::invalid::{Invalid, displayable};
use crate::model::permission::{VIEW_WORKFLOWS, Visible};
use crate::model::texts;
use actix_web::web::{Json, post};

/// The types of objects in JOC's folders; only the first exists here.
const TYPES: [&str; 17] = [
    "WORKFLOW",
    "FOLDER",
    "INVENTORY",
    "JOBTEMPLATE",
    "JOBCLASS",
    "JOBRESOURCE",
    "LOCK",
    "FILEORDERSOURCE",
    "NOTICEBOARD",
    "SCHEDULE",
    "INCLUDESCRIPT",
    "REPORT",
    "WORKINGDAYSCALENDAR",
    "NONWORKINGDAYSCALENDAR",
    "DOCUMENTATION",
    "DEPLOYMENTDESCRIPTOR",
    "DESCRIPTORFOLDER",
];

/// Selects folders. Absent and `null` mean the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TreeBody {
    #[schemars(with = "texts::ControllerId")]
    controller_id: String,
    /// Folders of these types of objects: without `WORKFLOW` there is nothing to show.
    #[schemars(extend("items" = json!({ "type": "string", "enum": TYPES })))]
    types: Option<Words<String>>,
    /// These folders and all below them; if not recursive, only those directly below them.
    folders: Option<Names<Object<Folder>>>,
}

/// The folders.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Folders")]
pub struct FolderTree {
    /// The root, or nothing.
    folders: Vec<FolderItem>,
}

/// A folder and those below it.
#[derive(Debug, Serialize, JsonSchema)]
struct FolderItem {
    path: String,
    name: String,
    /// Whether the account sees what is in it.
    permitted: bool,
    /// By name; absent if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folders: Vec<FolderItem>,
}

/// A folder and those below it, by name.
#[derive(Debug, Default)]
struct Tree {
    below: BTreeMap<String, Tree>,
}

impl RequestBody for TreeBody {
    // `onlyValidObjects` and `forInventory` are ignored, since they leave out no workflow that is
    // known here.
    const UNSUPPORTED: &'static [&'static str] =
        &["onlyWithAssignReference", "forInventoryTrash", "forDescriptors", "forDescriptorsTrash"];
}

pub fn endpoints(schemas: &mut Schemas) -> Vec<Endpoint> {
    let endpoint = Endpoint::post("/tree", post().to(tree), "The folders of workflows")
        .needs(&[VIEW_WORKFLOWS])
        .takes::<TreeBody>(schemas)
        .returns::<Delivered<FolderTree>>(schemas);
    with_examples(vec![endpoint], include_str!("tree.json"))
}

/// `POST /tree`
async fn tree(
    Request { context, body }: Request<TreeBody>,
) -> Result<Json<Delivered<FolderTree>>, ApiError> {
    let types = body.types.unwrap_or_default();
    for (i, of_type) in types.iter().enumerate() {
        if !TYPES.contains(&of_type.as_str()) {
            let problem = format!("'{}' is not a type of object", displayable(of_type));
            return Err(Invalid::new(format!("types[{i}]"), problem).into());
        }
    }
    let folders = inner(body.folders);
    check_folders(&folders)?;
    let controller_id = &body.controller_id;
    let visible = context.permit_reading(VIEW_WORKFLOWS, controller_id).await?;

    let mut known = Vec::new();
    if types.is_empty() || types.iter().any(|of_type| of_type == "WORKFLOW") {
        known = context.read(|store| store.workflow_folders(controller_id, &visible)).await?;
    }
    let chosen = choose(&known, &folders);
    let mut root = Tree::default();
    for folder in &chosen {
        root.insert(folder);
    }
    let folders = if chosen.is_empty() { vec![] } else { vec![root.shown("/", "", &visible)] };
    Ok(context.delivered(FolderTree { folders }))
}

/// The folders that a request selects, of those known and their parents. As in JOC, a folder that
/// is not recursive selects those directly below it.
fn choose<'a>(known: &'a [String], folders: &[Folder]) -> HashSet<&'a str> {
    let all: HashSet<&str> = known.iter().flat_map(|folder| with_parents(folder)).collect();
    if folders.is_empty() {
        return all;
    }
    let of_kind = |recursive: bool| -> HashSet<&str> {
        let of_kind = folders.iter().filter(|folder| folder.recursive == recursive);
        of_kind.map(|folder| folder.folder.as_str()).collect()
    };
    let (deep, flat) = (of_kind(true), of_kind(false));
    let meant = |folder: &&str| {
        with_parents(folder).any(|above| deep.contains(above))
            || parent(folder).is_some_and(|parent| flat.contains(parent))
    };
    all.into_iter().filter(meant).collect()
}

/// The folder itself and every one above it, up to the root.
fn with_parents(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| parent(folder))
}

fn parent(folder: &str) -> Option<&str> {
    match folder.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    }
}

impl Tree {
    fn insert(&mut self, folder: &str) {
        let names = folder.split('/').filter(|name| !name.is_empty());
        names.fold(self, |tree, name| tree.below.entry(name.into()).or_default());
    }

    /// As in JOC. A folder shown only because it leads to visible ones is not `permitted`.
    fn shown(&self, path: &str, name: &str, visible: &Visible) -> FolderItem {
        let above = if path == "/" { "" } else { path };
        let below = self.below.iter();
        let below = below.map(|(name, tree)| tree.shown(&format!("{above}/{name}"), name, visible));
        FolderItem {
            path: path.into(),
            name: name.into(),
            permitted: visible.shows(path),
            folders: below.collect(),
        }
    }
}
