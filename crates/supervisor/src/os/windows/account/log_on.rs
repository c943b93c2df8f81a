//! Logging on without a password, which is for whoever acts as part of the system (`SeTcbPrivilege`): for `LocalSystem`.
//!
//! - `LocalService` and `NetworkService` have none.
//! - Nor has the account of a service, `NT SERVICE\NAME`.
//! - Anybody else is logged on as the system's own task scheduler does it for tasks whose password is not stored ("service for user"): the
//!   token is worth the same on this machine, and nothing on others.
//!   <https://learn.microsoft.com/windows/win32/api/ntsecapi/ns-ntsecapi-msv1_0_s4u_logon>

use std::io;
use std::mem;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS};
use windows_sys::Win32::Security::Authentication::Identity::{
    KERB_S4U_LOGON, KerbS4ULogon, LSA_STRING, LSA_UNICODE_STRING, LsaDeregisterLogonProcess,
    LsaFreeReturnBuffer, LsaLogonUser, LsaLookupAuthenticationPackage, LsaNtStatusToWinError,
    LsaRegisterLogonProcess, MSV1_0_S4U_LOGON, MsV1_0S4ULogon, SECURITY_LOGON_TYPE,
};
use windows_sys::Win32::Security::{
    AllocateLocallyUniqueId, DuplicateTokenEx, LOGON32_LOGON_SERVICE, LOGON32_PROVIDER_DEFAULT, LogonUserW,
    SecurityImpersonation, TOKEN_ALL_ACCESS, TOKEN_SOURCE, TokenPrimary, WinLocalServiceSid,
    WinNetworkServiceSid,
};

use super::name::Name;
use crate::os::windows::handle::{done, owned, wide};

/// `LOGON32_PROVIDER_VIRTUAL`, for accounts of services.
const VIRTUAL: u32 = 4;

/// `STATUS_ACCOUNT_RESTRICTION`.
const RESTRICTED: NTSTATUS = 0xC000_006E_u32.cast_signed();

/// The domain of those accounts, in every language.
const OF_SERVICES: &str = "NT SERVICE";

/// As whom we log on, to the system.
const ORIGIN: &[u8] = b"s7supervisor";

/// A token with which a process can be started as this account.
pub(super) fn token_of(name: &Name) -> io::Result<OwnedHandle> {
    for (kind, known) in [(WinLocalServiceSid, "LocalService"), (WinNetworkServiceSid, "NetworkService")] {
        if name.sid.is(kind) {
            return as_a_service(known, "NT AUTHORITY", LOGON32_PROVIDER_DEFAULT);
        }
    }
    if name.domain.eq_ignore_ascii_case(OF_SERVICES) {
        return as_a_service(&name.account, OF_SERVICES, VIRTUAL);
    }
    let system = System::connect()?;
    let token = if name.is_local()? {
        system.log_on(b"MICROSOFT_AUTHENTICATION_PACKAGE_V1_0", name, |name, domain| MSV1_0_S4U_LOGON {
            MessageType: MsV1_0S4ULogon,
            Flags: 0,
            UserPrincipalName: name,
            DomainName: domain,
        })?
    } else {
        system.log_on(b"Kerberos", name, |name, domain| KERB_S4U_LOGON {
            MessageType: KerbS4ULogon,
            Flags: 0,
            ClientUpn: name,
            ClientRealm: domain,
        })?
    };
    to_start_with(&token)
}

fn as_a_service(name: &str, domain: &str, provider: u32) -> io::Result<OwnedHandle> {
    let (name, domain, mut token) = (wide(name), wide(domain), ptr::null_mut());
    // SAFETY: both names end with zero, and no password is allowed; the handle is new.
    unsafe {
        let kind = LOGON32_LOGON_SERVICE;
        done(LogonUserW(name.as_ptr(), domain.as_ptr(), ptr::null(), kind, provider, &raw mut token))?;
        owned(token)
    }
}

/// A token as a process can have it: what a log-on over the network gives is meant for threads.
pub(super) fn to_start_with(token: &OwnedHandle) -> io::Result<OwnedHandle> {
    let mut copy = ptr::null_mut();
    // SAFETY: the token is open; the copy is new.
    unsafe {
        let (level, kind) = (SecurityImpersonation, TokenPrimary);
        let token = token.as_raw_handle();
        done(DuplicateTokenEx(token, TOKEN_ALL_ACCESS, ptr::null(), level, kind, &raw mut copy))?;
        owned(copy)
    }
}

/// The part of the system that logs on.
struct System(HANDLE);

impl System {
    fn connect() -> io::Result<Self> {
        let (origin, mut handle, mut mode) = (text(ORIGIN), ptr::null_mut(), 0);
        // SAFETY: the text lives for ever; the rest is written.
        told(unsafe { LsaRegisterLogonProcess(&raw const origin, &raw mut handle, &raw mut mode) })?;
        Ok(Self(handle))
    }

    /// Has somebody logged on by that package, with what `request` makes of the two names.
    fn log_on<Request>(
        &self,
        package: &'static [u8],
        name: &Name,
        request: impl FnOnce(LSA_UNICODE_STRING, LSA_UNICODE_STRING) -> Request,
    ) -> io::Result<OwnedHandle> {
        let (package, mut number) = (text(package), 0);
        // SAFETY: the connection is open; the text lives for ever; the number is written.
        told(unsafe { LsaLookupAuthenticationPackage(self.0, &raw const package, &raw mut number) })?;
        let asked = Asked::new(name, request);
        let origin = text(ORIGIN);
        let mut source = TOKEN_SOURCE::default();
        for (place, letter) in source.SourceName.iter_mut().zip(ORIGIN) {
            *place = letter.cast_signed();
        }
        let (mut profile, mut size, mut token) = (ptr::null_mut(), 0, ptr::null_mut());
        // SAFETY: structs of numbers, for which zeros are lawful.
        let (mut session, mut quotas) = unsafe { mem::zeroed() };
        let mut detail = 0;
        // SAFETY: all that is pointed to outlives the calls; the names lie in what is asked; the token is new, and what is
        // told of the profile is the system's, which gets it back.
        unsafe {
            done(AllocateLocallyUniqueId(&raw mut source.SourceIdentifier))?;
            let status = LsaLogonUser(
                self.0,
                &raw const origin,
                SECURITY_LOGON_TYPE::Network,
                number,
                asked.buffer.as_ptr().cast(),
                asked.size,
                ptr::null(),
                &raw const source,
                &raw mut profile,
                &raw mut size,
                &raw mut session,
                &raw mut token,
                &raw mut quotas,
                &raw mut detail,
            );
            // Then the account may not do that now, and this says why.
            told(if status == RESTRICTED && detail < 0 { detail } else { status })?;
            LsaFreeReturnBuffer(profile);
            owned(token)
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // SAFETY: it was opened, and is not used any more.
        unsafe { LsaDeregisterLogonProcess(self.0) };
    }
}

/// A request, and behind it the names to which it points: it is carried to another process as one piece.
struct Asked {
    buffer: Vec<usize>,
    size: u32,
}

impl Asked {
    fn new<Request>(
        name: &Name,
        request: impl FnOnce(LSA_UNICODE_STRING, LSA_UNICODE_STRING) -> Request,
    ) -> Self {
        let texts = [&name.account, &name.domain].map(|text| text.encode_utf16().collect::<Vec<_>>());
        let head = mem::size_of::<Request>();
        let size = head + texts.iter().map(|text| text.len() * 2).sum::<usize>();
        let mut buffer = vec![0_usize; size.div_ceil(mem::size_of::<usize>())];
        let begin = buffer.as_mut_ptr().cast::<u8>();
        let mut at = head;
        let [account, domain] = texts.map(|text| {
            let bytes = text.len() * 2;
            // SAFETY: there is room for all, and a request ends where such a number may stand.
            let place = unsafe { begin.add(at).cast::<u16>() };
            // SAFETY: as above; nothing else is there.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr(), place, text.len()) };
            at += bytes;
            // A name has 512 letters at most.
            let length = bytes as u16;
            LSA_UNICODE_STRING { Length: length, MaximumLength: length, Buffer: place }
        });
        // SAFETY: there is room for it at the beginning, which is aligned for pointers.
        unsafe { begin.cast::<Request>().write(request(account, domain)) };
        Self { buffer, size: size as u32 }
    }
}

/// Text as this part of the system takes it; it is only read.
fn text(text: &'static [u8]) -> LSA_STRING {
    let length = text.len() as u16;
    LSA_STRING { Length: length, MaximumLength: length, Buffer: text.as_ptr().cast_mut() }
}

fn told(status: NTSTATUS) -> io::Result<()> {
    if status >= 0 {
        return Ok(());
    }
    // SAFETY: numbers are passed.
    let code = unsafe { LsaNtStatusToWinError(status) };
    Err(io::Error::from_raw_os_error(code.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_one_piece_in_which_its_names_lie() {
        let name = Name {
            sid: crate::os::windows::security::Sid::room(),
            account: "Jörg".to_owned(),
            domain: "WERK".to_owned(),
        };
        let asked = Asked::new(&name, |name, domain| MSV1_0_S4U_LOGON {
            MessageType: MsV1_0S4ULogon,
            Flags: 0,
            UserPrincipalName: name,
            DomainName: domain,
        });
        // SAFETY: that is what stands at its beginning.
        let request = unsafe { &*asked.buffer.as_ptr().cast::<MSV1_0_S4U_LOGON>() };
        assert_eq!((request.MessageType, asked.size as usize), (12, mem::size_of::<MSV1_0_S4U_LOGON>() + 16));
        for (told, expected) in [(request.UserPrincipalName, "Jörg"), (request.DomainName, "WERK")] {
            let offset = told.Buffer.addr() - asked.buffer.as_ptr().addr();
            assert!(offset + usize::from(told.Length) <= asked.size as usize);
            // SAFETY: it lies within, as was just seen.
            let text = unsafe { std::slice::from_raw_parts(told.Buffer, usize::from(told.Length) / 2) };
            assert_eq!(String::from_utf16(text).unwrap(), expected);
        }
    }
}
