//! Whom a name means.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_NONE_MAPPED;
use windows_sys::Win32::Security::{
    LookupAccountNameW, LookupAccountSidW, SidTypeUser, SidTypeWellKnownGroup, WELL_KNOWN_SID_TYPE,
    WinLocalServiceSid, WinLocalSystemSid, WinNetworkServiceSid,
};
use windows_sys::Win32::System::SystemInformation::{ComputerNamePhysicalNetBIOS, GetComputerNameExW};

use crate::os::windows::handle::{done, wide};
use crate::os::windows::security::Sid;

/// Room for any name of an account, a domain or a machine.
const LONGEST: usize = 512;

/// What the accounts of the system itself are called wherever services have an account, in every language; what else they are called
/// differs.
const OF_SYSTEM: [(&str, WELL_KNOWN_SID_TYPE); 3] = [
    ("LocalSystem", WinLocalSystemSid),
    ("LocalService", WinLocalServiceSid),
    ("NetworkService", WinNetworkServiceSid),
];

/// An account that something can run as.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) sid: Sid,
    pub(super) account: String,
    pub(super) domain: String,
}

impl Name {
    /// Looks an account up: `NAME`, `DOMAIN\NAME`, `NAME@DOMAIN`; `.\NAME` is one of this machine. Those of the system itself may be
    /// called without their domain.
    ///
    /// # Errors
    /// There is none, or it is none that anything could run as, such as a group.
    pub(super) fn find(text: &str) -> io::Result<Self> {
        let text = match text.strip_prefix(r".\") {
            Some(name) => format!(r"{}\{name}", machine()?),
            None => text.to_owned(),
        };
        let sid = match of_system(&text) {
            Some(known) => Sid::well_known(known)?,
            None => sid_of(&text)?,
        };
        let (account, domain) = name_of(&sid)?;
        Ok(Self { sid, account, domain })
    }

    /// Whether the account is one of this machine, and not of a domain.
    pub(super) fn is_local(&self) -> io::Result<bool> {
        Ok(self.domain.eq_ignore_ascii_case(&machine()?))
    }
}

fn of_system(text: &str) -> Option<WELL_KNOWN_SID_TYPE> {
    let name = match text.split_once('\\') {
        Some((domain, name)) => Some(name).filter(|_| domain.eq_ignore_ascii_case("NT AUTHORITY"))?,
        None => text,
    };
    let known = OF_SYSTEM.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    known.map(|(_, sid)| *sid)
}

fn sid_of(text: &str) -> io::Result<Sid> {
    let text = wide(text);
    let (mut sid, mut domain) = (Sid::room(), [0; LONGEST]);
    let (mut size, mut length, mut kind) = (Sid::ROOM, LONGEST as u32, 0);
    // SAFETY: the name ends with zero; no more is written than there is room.
    let found = done(unsafe {
        LookupAccountNameW(
            ptr::null(),
            text.as_ptr(),
            sid.as_mut_ptr(),
            &raw mut size,
            domain.as_mut_ptr(),
            &raw mut length,
            &raw mut kind,
        )
    });
    match found {
        Ok(()) if kind == SidTypeUser => Ok(sid),
        // Services have accounts that are told as groups, each of the one that has its name.
        Ok(()) if kind == SidTypeWellKnownGroup && sid.is_of_service() => Ok(sid),
        Ok(()) if OF_SYSTEM.iter().any(|(_, known)| sid.is(*known)) => Ok(sid),
        Ok(()) => Err(io::Error::other("is not a user")),
        Err(error) if error.raw_os_error() == Some(ERROR_NONE_MAPPED.cast_signed()) => {
            Err(io::Error::other("there is no such account"))
        }
        Err(error) => Err(error),
    }
}

fn name_of(sid: &Sid) -> io::Result<(String, String)> {
    let (mut account, mut domain) = ([0; LONGEST], [0; LONGEST]);
    let (mut of_account, mut of_domain, mut kind) = (LONGEST as u32, LONGEST as u32, 0);
    // SAFETY: the identity is whole; no more is written than there is room.
    done(unsafe {
        LookupAccountSidW(
            ptr::null(),
            sid.as_ptr(),
            account.as_mut_ptr(),
            &raw mut of_account,
            domain.as_mut_ptr(),
            &raw mut of_domain,
            &raw mut kind,
        )
    })?;
    Ok((text(&account), text(&domain)))
}

/// What accounts of this machine have as their domain.
fn machine() -> io::Result<String> {
    let (mut name, mut length) = ([0; LONGEST], LONGEST as u32);
    // SAFETY: no more is written than there is room.
    let told =
        done(unsafe { GetComputerNameExW(ComputerNamePhysicalNetBIOS, name.as_mut_ptr(), &raw mut length) });
    told.map(|()| text(&name))
}

fn text(units: &[u16]) -> String {
    let length = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..length])
}
