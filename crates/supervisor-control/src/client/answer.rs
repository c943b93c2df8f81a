//! An HTTP answer: read whole, bounded, and understood.
//!
//! Only what our own server sends is understood: answers with a `Content-Length`, and a stream that ends with its
//! connection.

use std::fmt;
use std::io::{self, Read};

use serde::de::DeserializeOwned;

use super::ClientError;
use crate::wire::ProblemDocument;

/// The largest head and the largest body of an answer, in bytes.
const HEAD_SIZE: usize = 64 * 1024;
const BODY_SIZE: usize = 64 * 1024 * 1024;

/// How much is read at a time until the size of the whole is known.
const CHUNK: usize = 16 * 1024;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    is_problem: bool,
    body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum ReadError {
    /// It did not arrive, or not whole.
    Failed(io::Error),
    /// It makes no sense.
    Broken(String),
}

impl Answer {
    /// Reads the next answer from `stream`.
    pub(super) fn read(stream: &mut impl Read) -> Result<Self, ReadError> {
        let (head, body) = read_head(stream)?;
        Self::read_rest(stream, &head, body)
    }

    /// Reads an answer that goes on until its connection ends: what has come of it so far, or the answer that came
    /// instead.
    pub(super) fn read_endless(stream: &mut impl Read) -> Result<Result<Vec<u8>, Self>, ReadError> {
        let (head, body) = read_head(stream)?;
        if head.status == 200 {
            return Ok(Ok(body));
        }
        Ok(Err(Self::read_rest(stream, &head, body)?))
    }

    fn read_rest(stream: &mut impl Read, head: &Head, mut body: Vec<u8>) -> Result<Self, ReadError> {
        let length = head.body_length.ok_or_else(|| broken("it has no Content-Length"))?;
        if length > BODY_SIZE {
            return Err(broken(format_args!("its {length} bytes are more than {BODY_SIZE}")));
        }
        let arrived = body.len();
        if arrived > length {
            return Err(broken("there is more than was announced"));
        }
        body.resize(length, 0);
        stream.read_exact(&mut body[arrived..]).map_err(ReadError::Failed)?;
        Ok(Self { status: head.status, is_problem: head.is_problem, body })
    }

    /// The document that was asked for, or the problem that came instead.
    pub(super) fn document<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let unreadable = |error: serde_json::Error| ClientError::Broken(error.to_string());
        let refused = |detail| Err(ClientError::Refused { status: self.status, detail });
        if self.is_problem {
            let problem: ProblemDocument = serde_json::from_slice(&self.body).map_err(unreadable)?;
            if !problem.problems.is_empty() {
                let (detail, problems) = (problem.detail, problem.problems);
                return Err(ClientError::Invalid { detail, problems });
            }
            if problem.dependants.is_empty() {
                return refused(problem.detail);
            }
            let (detail, dependants) = (problem.detail, problem.dependants);
            return Err(ClientError::HasDependants { detail, dependants });
        }
        match self.status {
            200 | 202 | 409 => serde_json::from_slice(&self.body).map_err(unreadable),
            431 => refused("the request has too many names; use a glob".to_owned()),
            status => refused(format!("the supervisor refuses the request with status {status}")),
        }
    }
}

/// Reads a head, and with it the beginning of what follows.
fn read_head(stream: &mut impl Read) -> Result<(Head, Vec<u8>), ReadError> {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        bytes.resize(before + CHUNK, 0);
        let count = match stream.read(&mut bytes[before..]) {
            Ok(0) => return Err(ReadError::Failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(ReadError::Failed(error)),
        };
        bytes.truncate(before + count);
        if let Some(head) = Head::parse(&bytes)? {
            let body = bytes.split_off(head.length);
            return Ok((head, body));
        }
        if bytes.len() > HEAD_SIZE {
            return Err(broken("its head does not end"));
        }
    }
}

/// What the head of an answer says of the rest.
#[derive(Debug)]
struct Head {
    length: usize,
    status: u16,
    is_problem: bool,
    /// `None` where it is not announced.
    body_length: Option<usize>,
}

impl Head {
    /// `None` if it is not whole yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, ReadError> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        let header = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let body_length = header("Content-Length").map(str::parse).transpose();
        let body_length = body_length.map_err(|_| broken("its Content-Length is no number"))?;
        let is_problem =
            header("Content-Type").is_some_and(|kind| kind.starts_with("application/problem+json"));
        Ok(Some(Self { length, status: response.code.unwrap_or_default(), is_problem, body_length }))
    }
}

fn broken(what: impl fmt::Display) -> ReadError {
    ReadError::Broken(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::OutcomeDocument;
    use proptest::prelude::*;

    fn read(bytes: &str) -> Result<Answer, ReadError> {
        Answer::read(&mut bytes.as_bytes())
    }

    #[test]
    fn an_answer_is_a_document_or_a_problem() {
        let answer =
            read("HTTP/1.1 409 Conflict\r\ncontent-length: 34\r\n\r\n{\"finished\":true,\"components\": []}");
        assert!(answer.unwrap().document::<OutcomeDocument>().unwrap().finished);

        let problem = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no ps"}"#;
        let head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\nContent-Length";
        let answer = read(&format!("{head}: {}\r\n\r\n{problem}", problem.len())).unwrap();
        let error = answer.document::<OutcomeDocument>().unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: 404, detail } if detail == "no ps"));

        let answer = read("HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
        let error = answer.document::<OutcomeDocument>().unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: 431, .. }));
    }

    #[test]
    fn what_is_cut_off_fails_and_what_is_no_http_or_has_no_bounds_is_broken() {
        for cut in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"] {
            assert!(matches!(read(cut), Err(ReadError::Failed(_))), "{cut:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_SIZE + CHUNK));
        for nonsense in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
            &endless,
        ] {
            assert!(matches!(read(nonsense), Err(ReadError::Broken(_))), "{nonsense:.40}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(
            prefix in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\nContent-Length: ")],
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let input = [prefix.as_bytes(), &bytes].concat();
            if let Ok(answer) = Answer::read(&mut input.as_slice()) {
                let _ = answer.document::<OutcomeDocument>();
            }
        }
    }
}
