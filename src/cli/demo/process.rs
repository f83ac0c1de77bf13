//! The last step of the tour: an agent runs a real process, and a cancel ends it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::guide::{CONTROLLER_ID, Guide, ORDER_ID, WORKFLOW, line, picked, say, who};
use crate::agent::jobs::Jobs;
use crate::agent::service::Agent;
use crate::store::Store;
use crate::store::runs::LeaseHolder;

/// How long anything on the machine may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look.
const LOOK: Duration = Duration::from_millis(20);

/// Lets an agent run an order, and cancels it.
pub(super) async fn tour(guide: &Guide, store: &Arc<dyn Store>, file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("a folder for the jobs")?;
    let (jobs, pid) = (folder.join("jobs.toml"), folder.join("pid"));
    let text = format!(
        "[jobs.{WORKFLOW:?}]\n\
         command = [\"/bin/sh\", \"-c\", \"echo $$ > pid; exec sleep 600\"]\n\
         directory = {:?}\n",
        folder.display().to_string()
    );
    std::fs::write(&jobs, &text).context("the file of jobs")?;
    say("\n# An agent (joc-orders agent) starts a process for each due order of this workflow.")?;
    say(&format!("$ cat {}", jobs.display()))?;
    say(text.trim_end())?;
    let holder =
        LeaseHolder { controller_id: CONTROLLER_ID.into(), agent: "demo".into(), lease: 30 };
    let agent = Agent::new(store.clone(), Jobs::read(&jobs)?, holder, 1);
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let stopping = move || {
        let stopped = stopped.clone();
        async move { stopped.notified().await }
    };
    let running = tokio::spawn(agent.run(stopping, PATIENCE));
    let shown = show(guide, &**store, &pid).await;
    stop.notify_one();
    running.await.context("the agent")?;
    shown
}

async fn show(guide: &Guide, store: &dyn Store, file: &Path) -> anyhow::Result<()> {
    let pid = eventually("the job's process", async || {
        let pid = std::fs::read_to_string(file).ok()?.trim().to_owned();
        // The shell becomes the program.
        (name_of(&pid)? == "sleep").then_some(pid)
    })
    .await?;
    say("\n# Its process is alive:")?;
    say(&format!("$ cat {}\n{pid}", file.display()))?;
    say(&format!("$ cat /proc/{pid}/comm\nsleep"))?;

    say("\n# Cancel the order, and kill its process.")?;
    let cancel = json!({
        "controllerId": CONTROLLER_ID, "orderIds": [ORDER_ID], "kill": true,
        "auditLog": {"comment": "it hangs"},
    });
    guide.cancel(&cancel).await?;
    let order = json!({"controllerId": CONTROLLER_ID, "orderId": ORDER_ID});
    let history = eventually("the end of the order", async || {
        let response = guide.post("/order/history", &order).await.ok()?;
        let history: serde_json::Value = response.json().await.ok()?;
        history["runs"][0]["ended"].is_string().then_some(history)
    })
    .await?;
    if name_of(&pid).is_some() {
        bail!("the process {pid} is still alive");
    }
    say("\n# The process is gone: SIGTERM, which is 15, has ended it. Who sent it, and why?")?;
    say(&format!("$ test -e /proc/{pid} || echo gone\ngone"))?;
    say(&line("", "/order/history", &order, "jq -cS '.runs[] | {signal, failure}'"))?;
    say(&picked(&history["runs"][0], &["signal", "failure"]))?;
    who(store, ORDER_ID, file.with_file_name("demo.db").as_path()).await
}

/// The name of a process, if it is there.
fn name_of(pid: &str) -> Option<String> {
    let pid: u32 = pid.parse().ok()?;
    Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> anyhow::Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("{what} did not come within {} seconds", PATIENCE.as_secs());
        }
        sleep(LOOK).await;
    }
}
