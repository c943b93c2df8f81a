//! Events as they come.

use std::io::{BufRead, BufReader, Cursor, Read};

use super::ClientError;
use super::stream::Stream;

/// The longest line that the server sends, and more.
const LONGEST: u64 = 4 * 1024 * 1024;

/// All that happens, each a [`wire::EventDocument`](crate::wire::EventDocument) as JSON. Ends with the supervisor.
#[derive(Debug)]
pub struct Follow {
    reader: BufReader<std::io::Chain<Cursor<Vec<u8>>, Stream>>,
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
