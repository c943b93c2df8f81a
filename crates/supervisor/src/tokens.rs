//! Tokens, by which the processes of a run are known wherever they have gone: `ps/` and 32 hexadecimal digits.
//!
//! A token is a keyed hash of the component and the number of the run. Who does not have the key can neither guess a token
//! nor make one; who has it recognises the tokens of runs of which nothing was ever written down. So a supervisor that keeps
//! its key finds what one before it has started in its last moment. The key goes when all has been stopped in order: a
//! later run of the same number has another token.

use std::fmt;
use std::hash::Hasher as _;
use std::io;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::spec::ComponentId;

/// How many runs beyond the last that was written down are looked for.
const FORGOTTEN_AT_MOST: u64 = 64;

/// The secret of a supervisor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 16]);

/// Makes the tokens of runs, and recognises them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens {
    key: Key,
}

impl Tokens {
    /// Those that are made with this key.
    pub(crate) fn with(key: Key) -> Self {
        Self { key }
    }

    /// The token of the run of this number.
    pub(crate) fn of(&self, id: &ComponentId, number: u64) -> String {
        let mut hash = self.key.hash(b"run");
        hash.write(&number.to_le_bytes());
        hash.write(id.as_str().as_bytes());
        format!("{id}/{:032x}", hash.finish128().as_u128())
    }

    /// The name of whoever makes these: it tells nothing of the tokens, and no other supervisor has the same.
    pub(crate) fn maker(&self) -> String {
        format!("{:016x}", self.key.hash(b"maker").finish())
    }

    /// The number of the run of this component that has this token, if that is one of the last before `runs`, or one of
    /// the first beyond.
    pub(crate) fn number_of(&self, id: &ComponentId, runs: u64, token: &[u8]) -> Option<u64> {
        let numbers = runs.saturating_sub(FORGOTTEN_AT_MOST).max(1)..=runs.saturating_add(FORGOTTEN_AT_MOST);
        numbers.into_iter().find(|number| self.of(id, *number).as_bytes() == token)
    }
}

impl Key {
    /// One that nobody else has.
    ///
    /// # Errors
    /// If the operating system has no random bits to give.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        Ok(Self(bits))
    }

    /// As 32 hexadecimal digits.
    pub(crate) fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// From 32 hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_one)?;
        Some(Self(bits.to_be_bytes()))
    }

    /// The beginning of a hash that only who has the key can make. What is for one purpose is no use for another.
    pub(crate) fn hash(self, purpose: &[u8]) -> SipHasher24 {
        let mut hash = SipHasher24::new_with_key(&self.0);
        hash.write(purpose);
        hash.write(&[0]);
        hash
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ComponentId {
        ComponentId::new(name).unwrap()
    }

    #[test]
    fn each_run_of_each_component_and_each_supervisor_has_a_token_of_its_own() {
        let (ours, others) = (Tokens::with(Key::random().unwrap()), Tokens::with(Key::random().unwrap()));
        let one = ours.of(&id("ps"), 1);
        assert!(one.starts_with("ps/") && one.len() == 3 + 32, "{one}");
        assert_eq!(one, ours.of(&id("ps"), 1));
        for another in [ours.of(&id("ps"), 2), ours.of(&id("is"), 1), others.of(&id("ps"), 1)] {
            assert_ne!(one, another);
        }
    }

    #[test]
    fn a_token_is_recognised_beyond_the_last_run_that_is_known_of_but_not_at_any_price() {
        let tokens = Tokens::with(Key::random().unwrap());
        let ps = id("ps");
        for (runs, number, is_known) in [
            (0, 1, true),
            (7, 7, true),
            (7, 1, true),
            (7, 71, true),
            (7, 72, false),
            (u64::MAX, u64::MAX, true),
        ] {
            let token = tokens.of(&ps, number);
            let expected = is_known.then_some(number);
            assert_eq!(tokens.number_of(&ps, runs, token.as_bytes()), expected, "{number} after {runs}");
            assert_eq!(tokens.number_of(&id("is"), runs, token.as_bytes()), None);
        }
        assert_eq!(tokens.number_of(&ps, 7, b"ps/0123"), None);
    }

    #[test]
    fn a_key_is_read_as_it_was_written_and_shown_nowhere() {
        let key = Key::random().unwrap();
        assert!(Key::from_hex(&key.to_hex()) == Some(key));
        for bad in ["", "+f", "0123", &"g".repeat(32), &format!("+{}", "0".repeat(31)), &"0".repeat(33)] {
            assert!(Key::from_hex(bad).is_none(), "{bad}");
        }
        assert!(!format!("{key:?}").contains(&key.to_hex()[..8]));
    }
}
