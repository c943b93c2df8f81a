//! Who may do what: identities, and things that nobody but their owner, the system and the administrators can look into.

use std::io;
use std::mem;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW,
    SDDL_REVISION_1, SE_FILE_OBJECT, SetNamedSecurityInfoW,
};
use windows_sys::Win32::Security::{
    ACL, CreateWellKnownSid, DACL_SECURITY_INFORMATION, EqualSid, GetSecurityDescriptorDacl,
    GetTokenInformation, IsWellKnownSid, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, PSID, SECURITY_ATTRIBUTES, TOKEN_INFORMATION_CLASS, TOKEN_QUERY, TokenOwner,
    TokenUser, WELL_KNOWN_SID_TYPE,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::handle::{done, owned, wide};

/// All for the owner, the system and the administrators; nothing is inherited from above, and this is by what is in the folder.
const PRIVATE: &str = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

/// The identity of an account or a group. <https://learn.microsoft.com/windows/win32/secauthz/security-identifiers>
#[derive(Clone, Debug)]
pub(super) struct Sid([u32; Sid::ROOM as usize / 4]);

impl Sid {
    /// The most bytes that one takes.
    pub(super) const ROOM: u32 = 68;

    /// Room for one.
    pub(super) fn room() -> Self {
        Self([0; Self::ROOM as usize / 4])
    }

    /// One that is the same everywhere, of the machine itself.
    pub(super) fn well_known(which: WELL_KNOWN_SID_TYPE) -> io::Result<Self> {
        let (mut sid, mut size) = (Self::room(), Self::ROOM);
        // SAFETY: no more is written than there is room.
        done(unsafe { CreateWellKnownSid(which, ptr::null_mut(), sid.as_mut_ptr(), &raw mut size) })?;
        Ok(sid)
    }

    /// For a call that writes one.
    pub(super) fn as_mut_ptr(&mut self) -> PSID {
        self.0.as_mut_ptr().cast()
    }

    /// For a call that only reads it.
    pub(super) fn as_ptr(&self) -> PSID {
        self.0.as_ptr().cast_mut().cast()
    }

    /// Whether it is that of our user.
    pub(super) fn is_ours(&self) -> io::Result<bool> {
        let ours = of_our_token(TokenUser)?;
        // SAFETY: what is told of a user begins with a pointer to an identity, which lies behind it; both live.
        Ok(unsafe { EqualSid(ours.as_ptr().cast::<PSID>().read(), self.as_ptr()) != 0 })
    }

    /// Whether it is one that is the same everywhere.
    pub(super) fn is(&self, known: WELL_KNOWN_SID_TYPE) -> bool {
        // SAFETY: it is whole.
        unsafe { IsWellKnownSid(self.as_ptr(), known) != 0 }
    }

    /// Whether it is that of one service: `S-1-5-80-` and five more numbers. That of all of them has one.
    pub(super) fn is_of_service(&self) -> bool {
        self.text().is_ok_and(|text| {
            text.strip_prefix("S-1-5-80-").is_some_and(|numbers| numbers.split('-').count() == 5)
        })
    }

    /// Its numbers, as text.
    fn text(&self) -> io::Result<String> {
        let mut text = ptr::null_mut();
        // SAFETY: it is whole; the text that is made ends with zero, and goes back to where it came from.
        unsafe {
            done(ConvertSidToStringSidW(self.as_ptr(), &raw mut text))?;
            let length = (0..).take_while(|at| *text.add(*at) != 0).count();
            let copy = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
            LocalFree(text.cast());
            Ok(copy)
        }
    }
}

/// Who may do what with something that is to be made.
pub(super) struct Rights {
    descriptor: Descriptor,
}

impl Rights {
    /// All for us, the system and the administrators; this account may wait for it.
    pub(super) fn to_wait(account: &Sid) -> io::Result<Self> {
        let text = format!("D:P(A;;GA;;;OW)(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x100000;;;{})", account.text()?);
        Ok(Self { descriptor: Descriptor::of(&text)? })
    }

    fn private() -> io::Result<Self> {
        Ok(Self { descriptor: Descriptor::of(PRIVATE)? })
    }

    /// As a call takes them, for as long as these live.
    pub(super) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: mem::size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.descriptor.0,
            bInheritHandle: 0,
        }
    }
}

/// Makes a private folder.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let rights = Rights::private()?;
    let attributes = rights.attributes();
    let path = wide(path);
    // SAFETY: the path ends with zero; the descriptor lives until the call returns.
    done(unsafe { CreateDirectoryW(path.as_ptr(), &raw const attributes) })
}

/// Makes a folder private.
pub(super) fn close_to_others(path: &Path) -> io::Result<()> {
    let descriptor = Descriptor::of(PRIVATE)?;
    let acl = descriptor.acl()?;
    let what = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    let (path, none) = (wide(path), ptr::null_mut());
    // SAFETY: the path ends with zero; the list belongs to the descriptor.
    told(unsafe { SetNamedSecurityInfoW(path.as_ptr(), SE_FILE_OBJECT, what, none, none, acl, ptr::null()) })
}

/// Whether a folder belongs to us: to our user, or to whom what we make belongs.
pub(super) fn is_ours(path: &Path) -> io::Result<bool> {
    let path = wide(path);
    let (mut owner, mut descriptor) = (ptr::null_mut(), ptr::null_mut());
    let none = ptr::null_mut::<*mut ACL>();
    // SAFETY: the path ends with zero; both pointers are written, and the first points into what the second points to.
    told(unsafe {
        let what = OWNER_SECURITY_INFORMATION;
        let owner = &raw mut owner;
        let descriptor = &raw mut descriptor;
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            what,
            owner,
            ptr::null_mut(),
            none,
            none,
            descriptor,
        )
    })?;
    let descriptor = Descriptor(descriptor);
    let mut is_ours = false;
    for class in [TokenUser, TokenOwner] {
        let ours = of_our_token(class)?;
        // SAFETY: what is told of either begins with a pointer to an identity, which lies behind it; both live.
        is_ours |= unsafe { EqualSid(ours.as_ptr().cast::<PSID>().read(), owner) != 0 };
    }
    drop(descriptor);
    Ok(is_ours)
}

/// What the token of this process says, in an array that is aligned for all of it.
fn of_our_token(class: TOKEN_INFORMATION_CLASS) -> io::Result<Vec<usize>> {
    let mut token = ptr::null_mut();
    // SAFETY: the handle is new.
    let token: OwnedHandle = unsafe {
        done(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token))?;
        owned(token)?
    };
    let mut size = 0;
    // SAFETY: asks for a size, by failing.
    unsafe { GetTokenInformation(token.as_raw_handle(), class, ptr::null_mut(), 0, &raw mut size) };
    let mut told = vec![0; (size as usize).div_ceil(mem::size_of::<usize>()).max(1)];
    // SAFETY: so many bytes may be written.
    done(unsafe {
        GetTokenInformation(token.as_raw_handle(), class, told.as_mut_ptr().cast(), size, &raw mut size)
    })?;
    Ok(told)
}

/// A descriptor that the system has made.
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn of(text: &str) -> io::Result<Self> {
        let text = wide(text);
        let mut descriptor = ptr::null_mut();
        // SAFETY: the text ends with zero; the pointer is written.
        done(unsafe {
            let made = &raw mut descriptor;
            let none = ptr::null_mut();
            ConvertStringSecurityDescriptorToSecurityDescriptorW(text.as_ptr(), SDDL_REVISION_1, made, none)
        })?;
        Ok(Self(descriptor))
    }

    fn acl(&self) -> io::Result<*mut ACL> {
        let (mut is_there, mut is_default, mut acl) = (0, 0, ptr::null_mut());
        // SAFETY: the descriptor lives; the rest is written.
        done(unsafe {
            GetSecurityDescriptorDacl(self.0, &raw mut is_there, &raw mut acl, &raw mut is_default)
        })?;
        Ok(acl)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system has made it with its local allocator.
        unsafe { LocalFree(self.0) };
    }
}

fn told(code: u32) -> io::Result<()> {
    if code == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}
