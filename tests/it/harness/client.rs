//! The command line as a client of a service, and its terminal.

use std::process::Command;

use super::{CONTROLLER, ROOT, Ran, launch_command, program};

/// The program, logged in as root of `url`.
pub fn client(url: &str, args: &[&str]) -> Command {
    let mut command = program("sqlite:/not/used");
    command.args(args).env("JOC_ORDERS_URL", url).env("JOC_ORDERS_CONTROLLER_ID", CONTROLLER);
    command.env("JOC_ORDERS_USER", ROOT.0).env("JOC_ORDERS_PASSWORD", ROOT.1);
    command
}

pub async fn start(url: &str, args: &[&str]) -> Ran {
    launch_command(client(url, args), "").await
}

impl Ran {
    /// The message of a failure with this exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        &self.stderr
    }
}

/// Runs the command on a terminal that `script` provides. It replaces the shell that `script`
/// starts, which an interrupt would end before it.
pub fn on_terminal(command: &Command) -> Command {
    in_script("", command)
}

/// Like [`on_terminal`], with a terminal of this width.
pub fn on_terminal_of(columns: u32, command: &Command) -> Command {
    in_script(&format!("stty cols {columns} rows 50; "), command)
}

fn in_script(before: &str, command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let mut script = Command::new("script");
    script
        .args(["-qec", &format!("{before}exec {}", words.join(" ")), "/dev/null"])
        .current_dir(std::env::temp_dir());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script
}

pub fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}
