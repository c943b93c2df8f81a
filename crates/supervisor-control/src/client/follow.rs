//! Events as they come.

use std::io::{BufRead, BufReader, Cursor, Read};

use super::answer::Answer;
use super::stream::Stream;
use super::{Client, ClientError, PATIENCE};

/// The longest line that the server sends, and more.
const LONGEST: u64 = 4 * 1024 * 1024;

/// All that happens, each a [`wire::EventDocument`](crate::wire::EventDocument) as JSON. Ends with the supervisor.
#[derive(Debug)]
pub struct Follow {
    reader: BufReader<std::io::Chain<Cursor<Vec<u8>>, Stream>>,
    life: Option<u64>,
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

    /// Follows all that happens after the event of this number in the life of a supervisor
    /// ([`SupervisorDocument::life`](crate::wire::SupervisorDocument::life)), be it the one that runs or one before it: first what
    /// its journal has of that, and then what comes. 0: all since that supervisor has begun. Where events are missing, a
    /// [`What::Lost`](crate::wire::What::Lost) says so.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn follow_after(self, life: u64, seq: u64) -> Result<Follow, ClientError> {
        self.follow_with(&format!("Last-Event-ID: {life}-{seq}\r\n"))
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
        Self { reader: BufReader::new(Cursor::new(beginning).chain(stream)), life: None }
    }

    /// In whose life the last event was that it has given: see [`Client::follow_after`].
    #[must_use]
    pub fn life(&self) -> Option<u64> {
        self.life
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
            if let Some(id) = line.strip_prefix(b"id: ") {
                let life = std::str::from_utf8(id).ok().and_then(|id| id.split('-').next()?.parse().ok());
                self.life = life.or(self.life);
            }
            // The number of the event is in the document, too, and everything else is for browsers.
            if let Some(data) = line.strip_prefix(b"data: ") {
                let text = std::str::from_utf8(data.trim_ascii_end()).map(str::to_owned);
                return Some(text.map_err(|error| ClientError::Broken(error.to_string())));
            }
        }
    }
}
