//! The fuzzing corpus against real databases: they reject nothing that the readers let through.

use std::fs::{self, File};
use std::path::PathBuf;

use joc_orders::cli::import::{InputFormat, import};

use crate::harness::{App, CONTROLLER, Order};

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/").to_owned() + target;
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert!(files.len() > 20);
    files
}

on_both! {
    async fn bodies_are_accepted_or_rejected_with_a_reason(kind: Kind) {
        let app = App::with(kind, &[Order::new("a").workflow("/sos/billing/eod", "1")]).await;
        for file in corpus("bodies") {
            let text = fs::read(&file).unwrap();
            let end = text.iter().position(|byte| *byte == b'\n').unwrap();
            let call = str::from_utf8(&text[..end]).unwrap();
            let answer = app.post_as(&app.token, call, text[end + 1..].to_vec()).await;
            let rejections = ["JOC-400", "JOC-404", "JOC-405", "JOC-420"].map(Into::into);
            let foreseen =
                answer.status == 200 || rejections.contains(&answer.json()["error"]["code"]);
            assert!(foreseen, "{}: {}", file.display(), answer.text);
        }
    }

    async fn imports_are_accepted_or_rejected_by_the_reader(kind: Kind) {
        let app = App::start(kind, &[]).await;
        for file in corpus("import") {
            for replace in [false, true] {
                for format in [InputFormat::Lines, InputFormat::Response { controller_id: CONTROLLER.into() }] {
                    let input = File::open(&file).unwrap();
                    if let Err(error) = import(&*app.store, input, format, replace).await {
                        let error = format!("{error:#}");
                        let rest = error.strip_prefix("nothing was imported: ").unwrap_or_default();
                        let is_the_readers =
                            rest.starts_with("the input has ") || rest.starts_with("this looks like ");
                        assert!(is_the_readers, "{}: {error}", file.display());
                    }
                }
            }
        }
        assert!(app.db.count("SELECT count(*) FROM orders").await > 10);
    }
}
