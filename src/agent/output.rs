//! The output of jobs, in the agent's log.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// The longest line, in bytes; the rest of it is dropped.
const LINE: usize = 4096;
/// How much of a run's output is logged, in bytes.
const ALL: usize = 1 << 20;

/// Reads output to its end, and hands over its lines.
pub(super) async fn read(output: impl AsyncRead + Unpin, mut log: impl FnMut(&str)) {
    let mut output = BufReader::new(output);
    let (mut line, mut logged, mut dropped) = (Vec::new(), 0, 0);
    while let Ok(bytes) = output.fill_buf().await {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let fits = part.len().min(LINE - line.len());
        line.extend_from_slice(&part[..fits]);
        dropped += part.len() - fits;
        let (used, is_last) = (end.map_or(bytes.len(), |end| end + 1), bytes.is_empty());
        output.consume(used);
        if end.is_some() || (is_last && !line.is_empty()) {
            if logged + line.len() <= ALL {
                logged += line.len();
                log(&String::from_utf8_lossy(&line));
            } else {
                dropped += line.len();
            }
            line.clear();
        }
        if is_last {
            break;
        }
    }
    if dropped > 0 {
        log(&format!("({dropped} bytes of output were dropped)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(output: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        read(output, |line| lines.push(line.to_owned())).await;
        lines
    }

    #[tokio::test]
    async fn bounds_lines_and_the_whole() {
        assert_eq!(lines(b"a\n\nb").await, ["a", "", "b"]);
        let long = [b"x".repeat(LINE + 5), b"\nend\n".to_vec()].concat();
        let dropped = "(5 bytes of output were dropped)";
        assert_eq!(lines(&long).await, [&*"x".repeat(LINE), "end", dropped]);
        let much = [b"y".repeat(1023), b"\n".to_vec()].concat().repeat(1100);
        assert_eq!(lines(&much).await.len(), ALL / 1023 + 1);
    }
}
