//! What a connection is doing: when it is to be closed, and which one where there are too many.

use std::cell::Cell;

use tokio::time::Instant;

use crate::server::Limits;

/// What a connection is doing, for its own time limits and for choosing which one to close when there are too many.
pub(in crate::server) struct Activity {
    limits: Limits,
    phase: Cell<Phase>,
    last_byte: Cell<Instant>,
    /// How long the body of the last request is; 0 if it came in chunks, whose end is a blank line.
    body_length: Cell<u64>,
    blank_line: Cell<BlankLine>,
    /// Whether nobody has said yet who is there.
    is_strange: Cell<bool>,
}

/// Where the last blank line is, with which every head ends.
#[derive(Clone, Copy, Default)]
struct BlankLine {
    bytes_since: u64,
    /// Whether nothing has come in the present line.
    in_empty_line: bool,
    /// How many there were since the connection last idled, but for those of the requests that were taken up.
    more: usize,
}

#[derive(Clone, Copy)]
enum Phase {
    /// A head is being waited for since then.
    Head { since: Instant },
    /// A request is being read or answered.
    Request,
    /// The last answer is made; it may still be on its way out.
    Idle,
    /// Likewise, and there is something of the next head, the rest of which is being waited for since then.
    AnsweredAmidHead { since: Instant },
}

impl Activity {
    /// That of a connection that has just been accepted; `is_strange`: from whom is not known.
    pub(in crate::server) fn new(limits: Limits, is_strange: bool) -> Self {
        let now = Instant::now();
        Self {
            limits,
            phase: Cell::new(Phase::Head { since: now }),
            last_byte: Cell::new(now),
            body_length: Cell::default(),
            blank_line: Cell::default(),
            is_strange: Cell::new(is_strange),
        }
    }

    /// Whether a request has been taken up and its answer is not made yet.
    pub(in crate::server) fn has_request(&self) -> bool {
        matches!(self.phase.get(), Phase::Request)
    }

    /// Whoever is there has shown that it may be there.
    pub(super) fn is_known(&self) {
        self.is_strange.set(false);
    }

    /// Whether it may be closed for another one: of what waits for an answer, only if nobody knows who waits.
    pub(in crate::server) fn may_give_way(&self) -> bool {
        self.is_strange.get() || !self.has_request()
    }

    /// What gives way first, the least first of all: strangers, and then whoever has been quiet for longest.
    pub(in crate::server) fn worth(&self) -> impl Ord + use<> {
        (!self.is_strange.get(), self.last_byte.get())
    }

    /// Whether more has come than the request that is being answered: then nothing is read until it is.
    pub(super) fn is_unread(&self) -> bool {
        // A body that holds blank lines itself is taken for more, which costs a descriptor until it is answered.
        self.has_request() && (self.blank_line.get().more > 0 || self.has_beginning())
    }

    /// Whether something of a head has come that has no end yet.
    fn has_beginning(&self) -> bool {
        // A body that holds blank lines itself can hide what follows it.
        self.blank_line.get().bytes_since > self.body_length.get()
    }

    /// Whether nothing is lost when the connection is closed: no request is there, and no answer is on its way.
    pub(in crate::server) fn is_fresh(&self) -> bool {
        matches!(self.phase.get(), Phase::Head { .. })
    }

    /// When the connection is to be closed unless something happens. A request has its own time limits.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Head { since } | Phase::AnsweredAmidHead { since } => Some(since + self.limits.head_time),
            Phase::Request => None,
            Phase::Idle => Some(self.last_byte.get() + self.limits.idle_time),
        }
    }

    pub(super) fn bytes_came(&self, bytes: &[u8]) {
        let now = Instant::now();
        self.last_byte.set(now);
        let mut blank_line = self.blank_line.get();
        if matches!(self.phase.get(), Phase::Idle) {
            blank_line.more = 0;
        }
        self.blank_line.set(bytes.iter().fold(blank_line, BlankLine::after));
        match self.phase.get() {
            Phase::Idle => self.phase.set(Phase::Head { since: now }),
            Phase::AnsweredAmidHead { since } => self.phase.set(Phase::Head { since }),
            Phase::Head { .. } | Phase::Request => {}
        }
    }

    pub(super) fn bytes_went(&self) {
        self.last_byte.set(Instant::now());
    }

    pub(super) fn request_came(&self, body_length: u64) {
        self.body_length.set(body_length);
        let blank_line = self.blank_line.get();
        self.blank_line.set(BlankLine { more: blank_line.more.saturating_sub(1), ..blank_line });
        self.phase.set(Phase::Request);
    }

    pub(super) fn answer_is_made(&self) {
        // Its first byte has as much time to go as the next one to come, however long the answer took.
        let now = Instant::now();
        self.last_byte.set(now);
        // What is hidden is taken for idling.
        self.phase.set(if self.has_beginning() {
            Phase::AnsweredAmidHead { since: now }
        } else {
            Phase::Idle
        });
    }
}

impl BlankLine {
    fn after(self, byte: &u8) -> Self {
        match byte {
            b'\n' if self.in_empty_line => {
                Self { bytes_since: 0, in_empty_line: true, more: self.more.saturating_add(1) }
            }
            b'\n' => Self { bytes_since: self.bytes_since + 1, in_empty_line: true, ..self },
            b'\r' => Self { bytes_since: self.bytes_since + 1, ..self },
            _ => Self { bytes_since: self.bytes_since + 1, in_empty_line: false, ..self },
        }
    }
}
