//! As whom a component runs.
//!
//! A process runs as whoever its token is of, and a token of somebody else comes of a log-on. None of those that are used here takes a
//! password, for which a registry would have no safe place: see [`log_on`]. All but our own account can be had by a supervisor alone
//! that runs as `LocalSystem`.

mod log_on;
mod name;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_PRIVILEGE_NOT_HELD};
use windows_sys::Win32::System::Environment::{CreateEnvironmentBlock, DestroyEnvironmentBlock};

use self::name::Name;
use super::handle::done;
use super::security::Sid;
use super::words::in_words;
use crate::error::{SpawnError, SpawnStep};
use crate::spec::{Environment, ProcessSpec};

/// The variables that tell of an account. Of the system's, which are the same for everybody, a component has those of the supervisor.
const OF_ACCOUNTS: [&str; 9] = [
    "USERNAME",
    "USERDOMAIN",
    "USERPROFILE",
    "HOMEDRIVE",
    "HOMEPATH",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
    "TMP",
];

/// Somebody else than us, as whom something runs; or ourselves.
#[derive(Debug)]
pub(crate) struct Account {
    /// None of our own: what we start has that anyway.
    other: Option<Other>,
}

#[derive(Debug)]
struct Other {
    token: OwnedHandle,
    sid: Sid,
    variables: Vec<(OsString, OsString)>,
}

impl Account {
    /// Whether this specification needs an account.
    pub(crate) fn is_needed(spec: &ProcessSpec) -> bool {
        spec.user.is_some() || spec.group.is_some()
    }

    /// The account of this user, who is logged on; `None` if none is named. It may take long.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, SpawnError> {
        if let Some(group) = group {
            let reason = format!("{group}: nothing runs as a group on Windows");
            return Err(SpawnError { step: SpawnStep::Group, reason, os_error: None });
        }
        let Some(user) = user else { return Ok(None) };
        let name = Name::find(user).map_err(|why| {
            let reason = format!("{user:?}: {why}");
            SpawnError { step: SpawnStep::User, reason, os_error: why.raw_os_error() }
        })?;
        if name.sid.is_ours().map_err(|error| cannot(user, &error))? {
            return Ok(Some(Self { other: None }));
        }
        let token = log_on::token_of(&name).map_err(|error| cannot(user, &error))?;
        Self::of(token, name.sid).map(Some).map_err(|error| cannot(user, &error))
    }

    /// That of this token, which is of this account.
    fn of(token: OwnedHandle, sid: Sid) -> io::Result<Self> {
        let variables = variables_of(token.as_handle())?;
        Ok(Self { other: Some(Other { token, sid, variables }) })
    }

    /// Users have no numbers here.
    #[expect(clippy::unused_self, reason = "every system has the same names")]
    pub(crate) fn other_user(&self) -> Option<u32> {
        None
    }

    /// The token with which a process is started, if not with ours.
    pub(super) fn token(&self) -> Option<BorrowedHandle<'_>> {
        self.other.as_ref().map(|other| other.token.as_handle())
    }

    /// Who it is, if not we.
    pub(super) fn other_sid(&self) -> Option<&Sid> {
        self.other.as_ref().map(|other| &other.sid)
    }

    /// What tells of the account, but for the variables that the component sets itself.
    pub(super) fn variables_beside<'a>(
        &'a self,
        own: &'a Environment,
    ) -> impl Iterator<Item = (&'a OsStr, &'a OsStr)> {
        let is_own =
            |name: &OsStr| own.variables.iter().any(|variable| name.eq_ignore_ascii_case(&variable.name));
        let all = self.other.iter().flat_map(|other| &other.variables);
        all.map(|(name, value)| (name.as_os_str(), value.as_os_str())).filter(move |(name, _)| !is_own(name))
    }
}

/// Why nothing can run as this user.
pub(super) fn cannot(user: &str, error: &io::Error) -> SpawnError {
    let os_error = error.raw_os_error();
    let is_forbidden = [ERROR_ACCESS_DENIED, ERROR_PRIVILEGE_NOT_HELD]
        .map(|code| Some(code.cast_signed()))
        .contains(&os_error);
    let advice = if is_forbidden {
        " (it takes a supervisor that runs as LocalSystem, as its service does)"
    } else {
        ""
    };
    let reason = format!("cannot run as {user:?}: {}{advice}", in_words(error));
    SpawnError { step: SpawnStep::User, reason, os_error }
}

/// What the environment of whoever has this token would tell of the account.
fn variables_of(token: BorrowedHandle<'_>) -> io::Result<Vec<(OsString, OsString)>> {
    let mut block = ptr::null_mut();
    // SAFETY: the token is open; the pointer is written.
    done(unsafe { CreateEnvironmentBlock(&raw mut block, token.as_raw_handle(), 0) })?;
    let mut variables = Vec::new();
    let mut next = block.cast::<u16>().cast_const();
    loop {
        // SAFETY: texts that end with zero stand one behind the other, the last of which is empty.
        let text = unsafe {
            let length = (0..).take_while(|at| *next.add(*at) != 0).count();
            let text = std::slice::from_raw_parts(next, length);
            next = next.add(length + 1);
            text
        };
        if text.is_empty() {
            break;
        }
        // Hidden ones begin with the sign.
        let Some(sign) = text.iter().skip(1).position(|unit| *unit == u16::from(b'=')) else { continue };
        let (name, value) = (OsString::from_wide(&text[..=sign]), OsString::from_wide(&text[sign + 2..]));
        if OF_ACCOUNTS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            variables.push((name, value));
        }
    }
    // SAFETY: it is what was made above, of which nothing is kept.
    unsafe { DestroyEnvironmentBlock(block) };
    Ok(variables)
}

#[cfg(test)]
mod tests;
