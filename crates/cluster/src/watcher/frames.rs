//! The lines of a watch: one JSON object each, of bounded length.

use http_body_util::BodyExt as _;
use hyper::body::Bytes;

use super::Body;
use crate::transport::MAX_BODY;

/// Splits a body into lines.
#[derive(Debug)]
pub(crate) struct Frames {
    body: Body,
    /// What has come and is not handed out yet.
    buffer: Vec<u8>,
    /// So much of it is known to have no line end.
    searched: usize,
}

// === impl Frames ===

impl Frames {
    pub(crate) const fn new(body: Body) -> Self {
        Self { body, buffer: Vec::new(), searched: 0 }
    }

    /// The next line; `None` when the body ended, broke, or sends what is no line of a watch.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            if self.buffer.len() > MAX_BODY {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            self.take_in(&frame.into_data().unwrap_or_default());
        }
    }

    fn take_in(&mut self, bytes: &Bytes) {
        self.buffer.extend_from_slice(bytes);
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let unsearched = &self.buffer[self.searched..];
        let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.searched + at + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.buffer, rest))
    }
}
