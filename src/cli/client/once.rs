//! Sending a change so that it happens once: with a key, by which the service knows a repetition.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::connection::{ApiResponse, ApiSession};
use crate::cli::error::CliError;
use crate::cli::terminal::{tell, waiting};

/// How long to wait before each repetition.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

impl ApiSession {
    /// Sends a change. If the response is lost, or the service cannot be reached, the change may have
    /// happened or not: then this sends it again with the same key, a few times.
    pub(super) async fn call_once(
        &self,
        call: &str,
        body: &Value,
    ) -> Result<ApiResponse, CliError> {
        let waiting = waiting(call);
        let key = Uuid::new_v4().to_string();
        let mut may_have_happened = false;
        for pause in PAUSES {
            let failure = match self.attempt(call, body, &key).await {
                Err(failure @ (CliError::Aborted(_) | CliError::Unreachable(_))) => failure,
                result => return result,
            };
            may_have_happened |= matches!(failure, CliError::Aborted(_));
            waiting.suspend(|| {
                let pause = pause.as_secs_f32();
                tell(&format!("{failure}; sending it again with the same key in {pause} s\n"));
            });
            tokio::time::sleep(pause).await;
        }
        match self.attempt(call, body, &key).await {
            Err(CliError::Unreachable(problem)) if may_have_happened => {
                Err(CliError::Aborted(problem))
            }
            result => result,
        }
    }
}
