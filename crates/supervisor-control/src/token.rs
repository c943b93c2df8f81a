//! The secret by which whoever comes by TCP is known.

use std::fmt;
use std::io;

use subtle::ConstantTimeEq;

/// So many random bytes are in a token.
const LENGTH: usize = 32;

/// A secret of 256 random bits, written as 64 hexadecimal digits. Whoever presents it may do everything.
///
/// It is compared in a time that tells nothing of it, and [`Debug`](fmt::Debug) does not show it.
#[derive(Clone)]
pub struct Token([u8; 2 * LENGTH]);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut random = [0; LENGTH];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut digits = [0; 2 * LENGTH];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Ok(Self(digits))
    }

    /// The one that is written so, with blanks around it or not; `None`: that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 2 * LENGTH] = text.trim().as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// As it is written down for those who may use it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It consists of digits.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether this is what was presented. How long that takes depends on nothing but the length of it.
    pub(crate) fn is(&self, presented: &[u8]) -> bool {
        self.0[..].ct_eq(presented).into()
    }
}

fn digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value)]
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written_never_shown_and_never_twice_the_same() {
        let token = Token::random().unwrap();
        assert_eq!(token.as_str().len(), 64);
        let read = Token::parse(&format!(" {}\n", token.as_str())).unwrap();
        assert!(read.is(token.as_str().as_bytes()));
        assert!(!format!("{token:?}").contains(token.as_str()));
        assert!(!Token::random().unwrap().is(token.as_str().as_bytes()));
    }

    #[test]
    fn whatever_is_another_one_longer_shorter_or_nothing_is_not_it() {
        let token = Token::random().unwrap();
        let mut other = token.as_str().to_owned();
        other.replace_range(63.., if other.ends_with('0') { "1" } else { "0" });
        for presented in ["", "0", &other, &token.as_str()[1..], &format!("{}0", token.as_str())] {
            assert!(!token.is(presented.as_bytes()), "{presented}");
        }
        for none in ["", "secret", &"g".repeat(64), &"ä".repeat(32)] {
            assert!(Token::parse(none).is_none(), "{none}");
        }
    }
}
