//! Chromium, driven by its chromedriver.

use std::fs::DirEntry;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use fantoccini::elements::{Element, ElementRef};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::block_in_place;

use crate::harness::until;

/// Each takes a core and some 300 MB.
const BROWSERS: usize = 2;
static PLACES: Semaphore = Semaphore::const_new(BROWSERS);

/// How long a script may take, such as a check of accessibility on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of an element's reference in the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Elements that a name leads to: those of the dialog on top, if one is open.
const FIND: &str = r#"
    const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    const nameOf = (element) =>
        (element.getAttribute("aria-label") ?? element.innerText ?? "").replace(/\s+/g, " ").trim();
    const isShown = (element) => element.checkVisibility({visibilityProperty: true});
    const among = (selector, name) => {
        const shown = [...top.querySelectorAll(selector)].filter(isShown);
        return shown.find((element) => nameOf(element) === name)
            ?? shown.find((element) => nameOf(element).startsWith(name));
    };
"#;

/// The browser, with a profile of its own; ends when dropped.
pub struct Browser {
    client: Client,
    address: String,
    _place: SemaphorePermit<'static>,
}

impl Browser {
    /// Opens the page of the service at this address.
    pub async fn open(address: &str) -> Self {
        Self::at(address, "").await
    }

    /// Opens the page with this end of its URL.
    pub async fn at(address: &str, end: &str) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let mut args = vec!["--headless=new", "--window-size=1280,800", "--lang=en-US"];
        if nix::unistd::geteuid().is_root() {
            args.push("--no-sandbox");
        }
        let wanted = json!({
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": PATIENCE.as_millis() as u64},
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let builder = builder.capabilities(wanted.as_object().unwrap().clone());
        let client = builder.connect(driver_url()).await.unwrap();
        let browser = Self { client, address: address.into(), _place: place };
        browser.goto(end).await;
        browser
    }

    /// Opens the page, and logs in.
    pub async fn logged_in(address: &str, account: &str, password: &str) -> Self {
        let browser = Self::open(address).await;
        browser.log_in(account, password).await;
        browser.until_shown("Orders by state").await;
        browser
    }

    /// Goes to the page with this end of its URL.
    pub async fn goto(&self, end: &str) {
        self.client.goto(&format!("http://{}/{end}", self.address)).await.unwrap();
    }

    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    pub async fn back(&self) {
        self.client.back().await.unwrap();
    }

    /// Fills in the login.
    pub async fn log_in(&self, account: &str, password: &str) {
        self.until_shown("Log in to joc-orders").await;
        self.fill("Account", account).await;
        self.fill("Password", password).await;
        self.press("Log in").await;
    }

    /// Runs a script, and gives what it returns.
    pub async fn run(&self, script: &str, args: Vec<Value>) -> Value {
        let result = self.client.execute(&format!("{FIND}{script}"), args).await;
        result.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The value of an expression.
    pub async fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};"), vec![]).await
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
        let script = format!("return Boolean({expression});");
        until(expression, async || self.run(&script, vec![]).await == json!(true)).await;
    }

    /// The text that is shown, of what this selects.
    pub async fn text(&self, selector: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].filter(isShown)
            .map((element) => element.innerText).join('\\n');";
        self.run(script, vec![selector.into()]).await.as_str().unwrap().into()
    }

    /// Waits until a text is shown in the dialog on top, or on the page.
    pub async fn until_shown(&self, text: &str) {
        self.until_shown_in("body", text).await;
    }

    /// Waits until a text is shown in what this selects.
    pub async fn until_shown_in(&self, selector: &str, text: &str) {
        let mut shown = String::new();
        let waiting = until("the text is shown", async || {
            shown = self.text(selector).await;
            shown.contains(text)
        });
        if tokio::time::timeout(Duration::from_secs(20), waiting).await.is_err() {
            let shown = self.text(selector).await;
            panic!("'{text}' is not shown; {selector}: {shown}");
        }
    }

    /// Waits until a text is no longer shown.
    pub async fn until_gone(&self, text: &str) {
        until(&format!("gone: {text}"), async || !self.text("body").await.contains(text)).await;
    }

    /// Presses a button, a link or the like, by its name or the beginning of that.
    pub async fn press(&self, name: &str) {
        self.click("among('button, a, summary, [role=treeitem], label', arguments[0])", name).await;
    }

    /// Clicks the first element that this selects.
    pub async fn press_at(&self, selector: &str) {
        self.click("[...top.querySelectorAll(arguments[0])].find(isShown)", selector).await;
    }

    async fn click(&self, expression: &str, argument: &str) {
        let element = self.element(expression, argument).await;
        element.click().await.unwrap_or_else(|error| panic!("{argument}: {error}"));
    }

    /// Waits for an element that can be used.
    async fn element(&self, expression: &str, argument: &str) -> Element {
        let script = format!(
            "{FIND} const found = {expression}; return found && !found.disabled ? found : null;"
        );
        let mut element = None;
        until(&format!("there is '{argument}' to use"), async || {
            let found = self.client.execute(&script, vec![argument.into()]).await.unwrap();
            element = found[ELEMENT].as_str().map(|id| ElementRef::from(id.to_owned()));
            element.is_some()
        })
        .await;
        Element::from_element_id(self.client.clone(), element.unwrap())
    }

    /// Types a text into the field with this label, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.element("among('label', arguments[0])?.control", label).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses keys, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// The id, the name or the text of the element that has the focus.
    pub async fn focused(&self) -> String {
        let script = "const {activeElement: at} = document;
            return at.name || nameOf(at) || at.id || at.tagName;";
        self.run(script, vec![]).await.as_str().unwrap().into()
    }

    /// Sets the size of the window, in pixels of CSS.
    pub async fn resize(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        )
        .await;
    }

    /// Sets whether the system prefers dark colours.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Sends a command of the DevTools protocol.
    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.client.issue_cmd(Extension("goog/cdp/execute", body)).await.unwrap();
    }

    /// Expects that axe-core finds nothing wrong with what is shown.
    pub async fn expect_accessible(&self) {
        let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("scripts/axe-core downloads it");
        self.client.execute(&axe, vec![]).await.unwrap();
        let script = "const done = arguments[arguments.length - 1];
            axe.run(document, {resultTypes: ['violations']}).then(({violations}) => done(
                violations.flatMap(({id, nodes}) => nodes.map(({failureSummary, html}) =>
                    `${id}: ${html}: ${failureSummary}`))));";
        let found = self.client.execute_async(script, vec![]).await.unwrap();
        let found: Vec<String> = serde_json::from_value(found).unwrap();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    /// Expects that the browser has nothing to complain about, such as a script that the policy forbids.
    pub async fn expect_quiet(&self) {
        let log = Extension("se/log", json!({"type": "browser"}));
        let log = self.client.issue_cmd(log).await.unwrap();
        let messages = log.as_array().unwrap().iter().filter(|entry| {
            let level = entry["level"].as_str().unwrap();
            !["DEBUG", "INFO"].contains(&level)
        });
        // Rejected requests are logged, too.
        let is_bad = |message: &&str| !message.contains("/joc/api/");
        let bad: Vec<&str> =
            messages.map(|entry| entry["message"].as_str().unwrap()).filter(is_bad).collect();
        assert!(bad.is_empty(), "{bad:?}");
    }

    pub async fn screenshot(&self, file: &Path) {
        std::fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Lets downloads go to this folder.
    pub async fn download_to(&self, folder: &Path) {
        let parameters = json!({"behavior": "allow", "downloadPath": folder});
        self.devtools("Browser.setDownloadBehavior", parameters).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let closing = self.client.clone().close();
        let _ = block_in_place(|| Handle::current().block_on(closing));
    }
}

/// A command that chromedriver knows beside those of the standard, with its body.
#[derive(Debug)]
struct Extension(&'static str, Value);

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap(), self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

/// Waits for a file with this ending in a folder. Chromium creates it empty and
/// replaces it.
pub async fn downloaded(folder: &Path, ending: &str) -> PathBuf {
    let mut file = None;
    until("the file is there", async || {
        let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let is_whole = |entry: &DirEntry| {
            entry.path().extension().is_some_and(|is| is == ending)
                && entry.metadata().is_ok_and(|it| it.len() > 0)
        };
        file = entries.find(is_whole).map(|entry| entry.path());
        file.is_some()
    })
    .await;
    file.unwrap()
}

/// The address of chromedriver, which ends with this process and takes its browsers along.
fn driver_url() -> &'static str {
    static DRIVER: OnceLock<(String, Child, ChildStdin)> = OnceLock::new();
    let (url, ..) = DRIVER.get_or_init(|| {
        let script = "set -m; chromedriver --port=0 & read -r _; kill -KILL -- -$!";
        let mut shell = Command::new("bash");
        // A time zone of its own, other than UTC.
        shell.args(["-c", script]).env("TZ", "Europe/Berlin").stderr(Stdio::null());
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("no chromedriver: scripts/setup installs it and Chromium");
        // Keeps the pipe from filling up.
        std::thread::spawn(move || lines.for_each(drop));
        let stdin = shell.stdin.take().unwrap();
        (format!("http://127.0.0.1:{port}"), shell, stdin)
    });
    url
}
