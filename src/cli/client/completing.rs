//! What a shell completes: words, contexts, and the workflows and folders of the service.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser};
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, ValueCompleter,
};
use serde_json::json;
use tokio::time::timeout;

use super::connection::ConnectionArgs;
use super::context_file;
use super::selectors::ControllerArgs;
use crate::config::without_empty;

/// How long a person who has pressed Tab waits for the service.
const PATIENCE: Duration = Duration::from_secs(1);

/// The flags that say which service to ask.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Asked {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    controller: ControllerArgs,
}

/// Adds what completes values to the flags of the client.
#[must_use]
pub fn with_completers(command: Command) -> Command {
    command.mut_subcommands(|command| {
        let asks = matches!(command.get_name(), "orders" | "workflows");
        with(command, asks)
    })
}

/// Adds them to a command; `asks` is whether its folders and workflows are those of a service.
fn with(command: Command, asks: bool) -> Command {
    let command = command.mut_args(|arg| {
        let words = arg.get_possible_values();
        match arg.get_id().as_str() {
            "context" => arg.add(context()),
            "workflows" | "workflow" | "workflow_versions" if asks => arg.add(workflow()),
            "recursive" | "only" if asks => arg.add(folder()),
            _ if arg.is_ignore_case_set() && !words.is_empty() => arg.add(word(words)),
            _ => arg,
        }
    });
    command.mut_subcommands(|command| with(command, asks))
}

/// Completes one of these words, in the case in which it is typed.
fn word(words: Vec<PossibleValue>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let is_lower = typed.as_encoded_bytes().iter().any(u8::is_ascii_lowercase);
        let words = words.iter().map(PossibleValue::get_name);
        candidates(
            words.map(|word| if is_lower { word.to_lowercase() } else { word.into() }),
            typed,
        )
    })
}

/// Completes the name of a context.
fn context() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let names = context_file::load().map(|contexts| contexts.contexts.into_keys());
        names.into_iter().flatten().map(CompletionCandidate::new).collect()
    })
}

/// Completes the path of a workflow, or its name.
fn workflow() -> ArgValueCompleter {
    first(|typed: &OsStr| {
        let paths = paths(typed);
        if typed.is_empty() || typed.as_encoded_bytes().starts_with(b"/") {
            return candidates(paths, typed);
        }
        let names = paths.iter().filter_map(|path| path.rsplit('/').next());
        candidates(names.map(str::to_owned).collect::<BTreeSet<_>>(), typed)
    })
}

/// Completes the first value of a flag that takes several, such as a path and a version.
fn first(
    complete: impl Fn(&OsStr) -> Vec<CompletionCandidate> + Send + Sync + 'static,
) -> ArgValueCompleter {
    struct First<F>(F);

    impl<F: ValueCompleter> ValueCompleter for First<F> {
        fn complete(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
            self.0.complete(typed)
        }

        fn complete_at(&self, index: usize, typed: &OsStr) -> Vec<CompletionCandidate> {
            if index == 0 { self.complete(typed) } else { Vec::new() }
        }
    }

    ArgValueCompleter::new(First(complete))
}

/// Completes the path of a folder.
fn folder() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let above = |path: &String| {
            let ends = path.match_indices('/').map(|(end, _)| path[..end.max(1)].to_owned());
            ends.collect::<Vec<_>>()
        };
        let folders: BTreeSet<String> = paths(typed).iter().flat_map(above).collect();
        candidates(folders, typed)
    })
}

fn candidates(all: impl IntoIterator<Item = String>, typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.as_encoded_bytes();
    let fit = all.into_iter().filter(|text| text.as_bytes().starts_with(typed));
    fit.map(CompletionCandidate::new).collect()
}

/// The paths of the workflows below the folder that is typed; none if the service does not say so.
fn paths(typed: &OsStr) -> BTreeSet<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map(|runtime| runtime.block_on(ask(typed)));
    asked.ok().flatten().unwrap_or_default()
}

async fn ask(typed: &OsStr) -> Option<BTreeSet<String>> {
    let flags = without_empty(Asked::command()).try_get_matches_from(typed_flags());
    let asked = Asked::from_arg_matches(&flags.ok()?).ok()?;
    let mut body = asked.controller.body(&asked.connection).ok()?;
    body.put("compact", true);
    if let Some((folder, _)) = typed.to_str()?.rsplit_once('/')
        && !folder.is_empty()
    {
        body.put("folders", json!([{ "folder": folder, "recursive": true }]));
    }
    let body = body.into();
    let response =
        timeout(PATIENCE, asked.connection.quietly("/workflows", &body)).await.ok()??;
    let paths =
        response["workflows"].as_array()?.iter().filter_map(|workflow| workflow["path"].as_str());
    Some(paths.map(str::to_owned).collect())
}

/// What is typed of the flags of [`Asked`]. The program is called with `--` before the words.
fn typed_flags() -> Vec<OsString> {
    let asked = Asked::command();
    let names: Vec<&str> = asked.get_arguments().filter_map(Arg::get_long).collect();
    let mut words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        let Some(flag) = word.to_str().and_then(|word| word.strip_prefix("--")) else { continue };
        let (name, has_value) =
            flag.split_once('=').map_or((flag, false), |(name, _)| (name, true));
        if names.contains(&name) {
            flags.push(word.clone());
            flags.extend(words.next().filter(|_| !has_value));
        }
    }
    flags
}
