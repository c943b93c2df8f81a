//! Events as they come.

use std::io::{BufRead, BufReader, Cursor, Read};

use std::time::SystemTime;

use super::answer::Answer;
use super::stream::Stream;
use super::{Client, ClientError, PATIENCE};
use crate::journal::life;

/// The longest line that the server sends, and more.
const LONGEST: u64 = 4 * 1024 * 1024;

/// All that happens, each a [`wire::EventDocument`](crate::wire::EventDocument) as JSON. Ends with the supervisor.
#[derive(Debug)]
pub struct Follow {
    reader: BufReader<std::io::Chain<Cursor<Vec<u8>>, Stream>>,
}

impl Client {
    /// Follows all that happens from now on, for as long as the supervisor runs.
    ///
    /// What has happened shortly before may not be in the journal yet: [`Client::follow_after`] is for who has read that.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn follow(self) -> Result<Follow, ClientError> {
        self.follow_with("")
    }

    /// Follows all that happens after the event of this number, of a supervisor that has begun then
    /// ([`SupervisorDocument::began`](crate::wire::SupervisorDocument::began)): first what has happened since, and then what comes.
    /// 0: all since it has begun.
    ///
    /// # Errors
    /// [`ClientError`]; `Broken` if `began` is no time.
    pub fn follow_after(self, began: &str, seq: u64) -> Result<Follow, ClientError> {
        let began = chrono::DateTime::parse_from_rfc3339(began)
            .map_err(|error| ClientError::Broken(format!("the supervisor began at {began:?}: {error}")))?;
        self.follow_with(&format!("Last-Event-ID: {}-{seq}\r\n", life(SystemTime::from(began))))
    }

    fn follow_with(self, headers: &str) -> Result<Follow, ClientError> {
        // The body of an HTTP/1.0 answer ends with its connection: there are no chunks to put together.
        self.send(&self.head("GET", "/v1/events", "1.0", headers).into_bytes())?;
        self.stream.set_read_timeout(Some(PATIENCE)).map_err(|error| self.failed(&error))?;
        let answer = Answer::read_endless(&mut &self.stream).map_err(|error| self.unread(error))?;
        let beginning = answer.or_else(|instead| self.refused(instead))?;
        self.stream.set_read_timeout(None).map_err(|error| self.failed(&error))?;
        Ok(Follow::new(beginning, self.stream))
    }
}

impl Follow {
    /// Goes on with what comes on `stream` after `beginning`.
    pub(super) fn new(beginning: Vec<u8>, stream: Stream) -> Self {
        Self { reader: BufReader::new(Cursor::new(beginning).chain(stream)) }
    }
}

impl Iterator for Follow {
    type Item = Result<String, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            match self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                // However the connection ends, whoever was at its other end is gone.
                Ok(0) | Err(_) => return None,
                Ok(_) if line.last() != Some(&b'\n') => return None,
                Ok(_) => {}
            }
            // The number of the event (`id:`) is in the document, too, and everything else is for browsers.
            if let Some(data) = line.strip_prefix(b"data: ") {
                let text = std::str::from_utf8(data.trim_ascii_end()).map(str::to_owned);
                return Some(text.map_err(|error| ClientError::Broken(error.to_string())));
            }
        }
    }
}
