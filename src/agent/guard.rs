//! The process between the agent and a job. It starts the job in a process group of its own, passes
//! on signals that the agent asks for, and ends the job and all that it started when the agent is
//! gone or its lease is about to expire, even if the agent hangs. It has only the environment of the
//! job.
//!
//! The agent writes lines to its standard input: what to run, then controls. It writes two lines to
//! its standard output: the id of the group, then how the job ended. Its standard error is the job's
//! output.

use std::collections::BTreeMap;
use std::env::args_os;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, getpid, getppid};
use serde::{Deserialize, Serialize};

/// The first argument of a guard.
pub(super) const GUARD: &str = "agent-guard";
/// The first argument of a job that is about to start.
const EXEC: &str = "agent-exec";

/// The program itself, even if its file was replaced.
pub(super) const ITSELF: &str = "/proc/self/exe";

/// How often the clock is looked at: a machine may have slept.
const LOOK: Duration = Duration::from_millis(500);

/// What a guard runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub command: Vec<String>,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    /// The standard input of the job.
    pub input: String,
    /// When it must have ended: see [`clock`].
    pub until: Duration,
}

/// What an agent asks of a guard.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Control {
    /// The lease was renewed until then.
    Lease(Duration),
    Terminate,
    Kill,
}

/// How a job ended.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ended {
    pub exit_status: Option<i32>,
    pub signal: Option<i32>,
    /// Whether the lease was about to expire.
    pub expired: bool,
    /// Why it did not start.
    pub problem: Option<String>,
}

/// Time since the machine has started, the same for every process. Nobody can set this clock, and it
/// goes on while the machine sleeps.
pub(super) fn clock() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}

/// Runs a guard or starts a job, if this process is for that.
pub fn main() -> Option<ExitCode> {
    match args_os().nth(1)?.to_str()? {
        GUARD => Some(guard()),
        EXEC => Some(exec()),
        _ => None,
    }
}

/// Becomes the job, which the kernel kills when its guard is gone.
fn exec() -> ExitCode {
    let mut arguments = args_os().skip(2);
    let parent = arguments.next().and_then(|pid| pid.to_str()?.parse().ok());
    let Some(program) = arguments.next() else { return ExitCode::FAILURE };
    let dies = prctl::set_pdeathsig(Signal::SIGKILL);
    if dies.is_err() || parent != Some(getppid().as_raw()) {
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("cannot run {}: {error}", program.display());
    // As shells do.
    ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
}

fn guard() -> ExitCode {
    let ended = attempt()
        .unwrap_or_else(|error| Ended { problem: Some(error.to_string()), ..Ended::default() });
    // The agent may be gone.
    let _gone = tell(&serde_json::to_string(&ended).unwrap_or_default());
    ExitCode::SUCCESS
}

fn tell(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn attempt() -> io::Result<Ended> {
    // What escapes from the job's group becomes a child of this process.
    prctl::set_child_subreaper(true)?;
    let mut agent = BufReader::new(io::stdin());
    let mut line = String::new();
    agent.read_line(&mut line)?;
    let spec: Spec = serde_json::from_str(&line)?;
    if clock() >= spec.until {
        return Ok(Ended { expired: true, ..Ended::default() });
    }
    let output = || io::stderr().as_fd().try_clone_to_owned();
    let mut child = Command::new(ITSELF)
        .args([EXEC, &getpid().to_string()])
        .args(&spec.command)
        .current_dir(&spec.directory)
        .env_clear()
        .envs(&spec.environment)
        .stdin(Stdio::piped())
        .stdout(output()?)
        .stderr(output()?)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            let directory = spec.directory.display();
            io::Error::new(error.kind(), format!("cannot start it in {directory}: {error}"))
        })?;
    let group = Arc::new(Group::of(child.id().cast_signed()));
    if let Some(mut stdin) = child.stdin.take() {
        // The job need not read it.
        thread::spawn(move || stdin.write_all(spec.input.as_bytes()));
    }
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in agent.lines() {
            let control = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(control) = control else { break };
            if sender.send(control).is_err() {
                break;
            }
        }
    });
    let controlled = group.clone();
    thread::spawn(move || control(&controlled, &receiver, spec.until));
    let _gone = tell(&group.leader.to_string());

    // As long as nobody has waited for it, its id belongs to its group.
    while waitid(Id::Pid(group.leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        == Err(nix::Error::EINTR)
    {}
    let expired = group.end();
    let status = child.wait()?;
    kill_rest();
    Ok(Ended { exit_status: status.code(), signal: status.signal(), expired, problem: None })
}

/// The process group of a job.
struct Group {
    leader: Pid,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    expired: bool,
}

impl Group {
    fn of(leader: i32) -> Self {
        Self { leader: Pid::from_raw(leader), state: Mutex::default() }
    }

    /// Sends a signal, unless the group has ended and its id may belong to another.
    fn signal(&self, signal: Signal, expired: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            state.expired |= expired;
            let _gone = killpg(self.leader, signal);
            if signal == Signal::SIGKILL {
                // It may have changed its group.
                let _gone = kill(self.leader, signal);
            }
        }
    }

    /// Ends what is left of it; returns whether its lease was about to expire.
    fn end(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _gone = killpg(self.leader, Signal::SIGKILL);
        state.ended = true;
        state.expired
    }
}

/// Does what the agent asks for.
fn control(group: &Group, agent: &Receiver<Control>, mut until: Duration) {
    loop {
        let Some(left) = until.checked_sub(clock()).filter(|left| !left.is_zero()) else {
            return group.signal(Signal::SIGKILL, true);
        };
        match agent.recv_timeout(left.min(LOOK)) {
            Ok(Control::Lease(renewed)) => until = renewed,
            Ok(Control::Terminate) => group.signal(Signal::SIGTERM, false),
            Ok(Control::Kill) => group.signal(Signal::SIGKILL, false),
            Err(RecvTimeoutError::Timeout) => reap(group.leader),
            // The agent is gone.
            Err(RecvTimeoutError::Disconnected) => return group.signal(Signal::SIGKILL, true),
        }
    }
}

/// The children of this process, whichever of its threads they belong to.
fn children() -> Vec<Pid> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
    let pids = lists.flat_map(|list| {
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
    });
    pids.map(Pid::from_raw).collect()
}

/// Forgets processes that the job has left behind and that have ended.
fn reap(leader: Pid) {
    for child in children().into_iter().filter(|child| *child != leader) {
        let _alive = waitpid(child, Some(WaitPidFlag::WNOHANG));
    }
}

/// Ends what the job has left behind, generation by generation.
fn kill_rest() {
    loop {
        let rest = children();
        if rest.is_empty() {
            return;
        }
        for child in rest {
            let _gone = kill(child, Signal::SIGKILL);
            let _gone = waitpid(child, None);
        }
    }
}
