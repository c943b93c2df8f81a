//! Folders and files that only the system, administrators and their owner may touch.
#![expect(unsafe_code, reason = "no safe library makes a file with a security descriptor, or reads one")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::windows::io::FromRawHandle;
use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{INVALID_HANDLE_VALUE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
    SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_GENERIC_WRITE,
};

use super::wide;

/// Full access for the system, the administrators, and whoever owns the thing; nothing from the folder above. What is made in a
/// folder gets the same.
///
/// <https://learn.microsoft.com/windows/win32/secauthz/ace-strings>
const PRIVATE: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)";

/// A descriptor that the system has made.
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn private() -> io::Result<Self> {
        let (text, mut made) = (wide(PRIVATE), null_mut());
        // SAFETY: the text has its end and outlives the call, which writes the place of what it makes.
        let succeeded = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut made,
                null_mut(),
            )
        };
        if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(made)) }
    }

    fn of(path: &Path) -> io::Result<Self> {
        let (path, mut found) = (wide(path), null_mut());
        // SAFETY: the path has its end and outlives the call, which writes the place of what it finds; the others are not wanted.
        let error = unsafe {
            GetNamedSecurityInfoW(
                path.as_ptr(),
                SE_FILE_OBJECT,
                DACL_SECURITY_INFORMATION | OWNER_SECURITY_INFORMATION,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                &raw mut found,
            )
        };
        match i32::try_from(error) {
            Ok(0) => Ok(Self(found)),
            Ok(error) => Err(io::Error::from_raw_os_error(error)),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// As text: `D:(A;OICI;FA;;;SY)…`.
    fn text(&self) -> io::Result<String> {
        let (mut text, mut length) = (null_mut(), 0);
        // SAFETY: the descriptor is valid, and the call writes the place and the length of the text that it makes.
        let succeeded = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                self.0,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &raw mut text,
                &raw mut length,
            )
        };
        if succeeded == 0 {
            return Err(io::Error::last_os_error());
        }
        let length = usize::try_from(length).map_err(io::Error::other)?;
        // SAFETY: there are so many, and they are freed only below.
        let found = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) });
        // SAFETY: the system has made it for us, and nobody uses it any more.
        unsafe { LocalFree(text.cast::<c_void>()) };
        Ok(found.trim_end_matches('\0').to_owned())
    }

    fn attributes(&self) -> SECURITY_ATTRIBUTES {
        let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default();
        SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: self.0, bInheritHandle: 0 }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system has made it for us, and nobody uses it any more.
        unsafe { LocalFree(self.0) };
    }
}

/// Makes a folder that is private.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let (path, descriptor) = (wide(path), Descriptor::private()?);
    let attributes = descriptor.attributes();
    // SAFETY: the path has its end; it and the attributes outlive the call.
    let succeeded = unsafe { CreateDirectoryW(path.as_ptr(), &raw const attributes) };
    if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a file that is private, whatever the folder says, and opens it for writing.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    let (path, descriptor) = (wide(path), Descriptor::private()?);
    let attributes = descriptor.attributes();
    // SAFETY: the path has its end; it and the attributes outlive the call.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            FILE_GENERIC_WRITE,
            0,
            &raw const attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was opened just now, and is nobody else's.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Who beside the system, administrators and its owner may write to the folder; `None`: nobody.
pub(super) fn foreign_writer(path: &Path) -> io::Result<Option<String>> {
    Ok(writer_in(&Descriptor::of(path)?.text()?))
}

/// Likewise, by the list of who may do what, as text.
fn writer_in(list: &str) -> Option<String> {
    let entries = list.split('(').skip(1).filter_map(|entry| entry.split(')').next());
    let mut writers = entries.filter_map(|entry| {
        let mut fields = entry.split(';');
        let (kind, flags, rights, who) = (fields.next()?, fields.next()?, fields.next()?, fields.nth(2)?);
        // What only holds for what is made in it later does not let anybody in.
        let holds = kind == "A" && !flags.contains("IO");
        (holds && may_write(rights) && !is_trusted(who)).then(|| who.to_owned())
    });
    writers.next()
}

fn may_write(rights: &str) -> bool {
    /// To add files and folders, to delete what is in it, the thing itself, to change who may do what, or whose it is; all; and to write, generically.
    const WRITING: u32 = 0x2 | 0x4 | 0x40 | 0x1_0000 | 0x4_0000 | 0x8_0000 | 0x1000_0000 | 0x4000_0000;
    match rights.strip_prefix("0x") {
        Some(number) => u32::from_str_radix(number, 16).map_or(true, |rights| rights & WRITING != 0),
        // Words of two letters each.
        None => {
            rights.as_bytes().chunks(2).any(|word| !matches!(word, b"FR" | b"FX" | b"GR" | b"GX" | b"RC"))
        }
    }
}

/// The system, administrators, the owner, whoever makes something for what that is, and the installer of Windows.
fn is_trusted(who: &str) -> bool {
    const INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
    matches!(who, "SY" | "BA" | "LA" | "OW" | "CO") || who == INSTALLER || is_own(who)
}

/// Whether it is the account that we are.
fn is_own(who: &str) -> bool {
    own_account().is_some_and(|own| own == who)
}

fn own_account() -> Option<String> {
    use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
    use windows_sys::Win32::Security::{GetTokenInformation, TOKEN_USER, TokenUser};
    // That of the process.
    let token = -4_isize as *mut c_void;
    let mut buffer = [0_u64; 32];
    let size = u32::try_from(size_of_val(&buffer)).ok()?;
    let (mut length, mut text) = (0, null_mut());
    // SAFETY: it writes no more than the size of the buffer, which is aligned for what is written there: a place within it is the
    // account, whose text it makes.
    unsafe {
        if GetTokenInformation(token, TokenUser, buffer.as_mut_ptr().cast(), size, &raw mut length) == 0 {
            return None;
        }
        let user = &*buffer.as_ptr().cast::<TOKEN_USER>();
        if ConvertSidToStringSidW(user.User.Sid, &raw mut text) == 0 {
            return None;
        }
        let length = (0..).take_while(|&place| *text.add(place) != 0).count();
        let own = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Some(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_beside_those_who_may_everything_is_found() {
        assert_eq!(writer_in(PRIVATE), None);
        assert_eq!(writer_in("D:PAI(A;OICI;FA;;;SY)(A;;0x1200a9;;;BU)(A;OICIIO;GA;;;CO)"), None);
        assert_eq!(writer_in("D:(A;;FA;;;SY)(A;CI;0x4;;;BU)").as_deref(), Some("BU"));
        assert_eq!(writer_in("D:(A;OICIIO;GA;;;BU)(A;;FA;;;WD)").as_deref(), Some("WD"));
        assert_eq!(writer_in("D:(D;;FA;;;BU)(A;;FR;;;BU)"), None);
    }
}
