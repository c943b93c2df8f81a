//! What can be tried without being `LocalSystem`, and without a second account.

use std::fs::{self, File};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Security::{TOKEN_DUPLICATE, TOKEN_QUERY, WinLocalServiceSid, WinLocalSystemSid};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenEventW, OpenProcessToken};

use super::*;
use crate::ProcessSpec;
use crate::os::windows::handle::{is_signalled, owned, wide};
use crate::os::windows::stopping;
use crate::os::{Launch, LaunchPad, Terms, spawn};
use crate::run::Exit;

/// Long enough for a process on a busy machine, in milliseconds.
const LONG: u32 = 60_000;

const SYNCHRONIZE: u32 = 0x10_0000;

fn own_name() -> String {
    std::env::var("USERNAME").unwrap()
}

/// Ourselves, by a token, as if we were somebody else.
fn ourselves() -> Account {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the handle is new.
    let token = unsafe {
        done(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_DUPLICATE, &raw mut token)).unwrap();
        owned(token).unwrap()
    };
    let token = log_on::to_start_with(&token).unwrap();
    Account::of(token, Name::find(&own_name()).unwrap().sid).unwrap()
}

#[test]
fn our_own_name_takes_no_log_on_however_it_is_written() {
    let name = Name::find(&own_name()).unwrap();
    assert!(name.account.eq_ignore_ascii_case(&own_name()) && name.is_local().unwrap(), "{name:?}");
    let whole = format!(r"{}\{}", name.domain, name.account);
    for user in [own_name(), whole, format!(r".\{}", own_name())] {
        let account = Account::find(Some(&user), None).unwrap().unwrap();
        assert!(account.token().is_none() && account.other_sid().is_none(), "{user}");
    }
    assert!(Account::find(None, None).unwrap().is_none());
}

#[test]
fn who_is_not_there_or_is_no_user_is_told() {
    let refused = |user, group| Account::find(user, group).unwrap_err();
    let nobody = refused(Some("nobody-of-this-name"), None);
    assert_eq!(
        (nobody.step, nobody.reason.as_str()),
        (SpawnStep::User, "\"nobody-of-this-name\": there is no such account")
    );
    let group = refused(Some(r"BUILTIN\Administrators"), None);
    assert_eq!(group.reason, r#""BUILTIN\\Administrators": is not a user"#);
    assert_eq!(refused(None, Some("users")).step, SpawnStep::Group);
    assert_eq!(refused(Some(&own_name()), Some("users")).step, SpawnStep::Group);
}

#[test]
fn the_accounts_of_services_are_known_by_their_identities() {
    for name in [r"NT AUTHORITY\LOCAL SERVICE", r"nt authority\LocalService", "localservice"] {
        let local = Name::find(name).unwrap();
        assert!(local.sid.is(WinLocalServiceSid) && !local.sid.is(WinLocalSystemSid), "{local:?}");
        assert!(!local.sid.is_ours().unwrap());
    }
    assert!(Name::find("LocalSystem").unwrap().sid.is(WinLocalSystemSid));
    assert!(Name::find(r"ELSEWHERE\LocalService").is_err());
}

#[test]
fn a_process_begins_by_a_token_with_what_tells_of_its_account_but_for_its_own_variables() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let mut spec = ProcessSpec::new("a", r"C:\windows\system32\cmd.exe").unwrap();
    spec.arguments = ["/c", "echo", "%USERNAME%,%temp%,%USERPROFILE%"].map(Into::into).into();
    let own = crate::Variable { name: "Temp".into(), value: "mine".into(), secret: false };
    spec.environment.variables.push(own);
    let account = ourselves();
    let output = OwnedHandle::from(File::create(&said).unwrap());
    let launch = Launch {
        spec: &spec,
        environment: &[("Temp".into(), "mine".into()), ("UserName".into(), "another".into())],
        added: &[],
        token: "a/by-a-token",
        account: Some(&account),
        terms: Terms::default(),
        cgroup: None,
        errand: None,
        stdout: &output,
        stderr: &output,
        ready: None,
    };
    let mut pad = LaunchPad::new().unwrap();
    let process = spawn(&launch, &mut pad).unwrap().into_process(&mut pad);
    // The event by which it is asked to stop is there, with the rights that it is given.
    let event = wide(stopping::event_name(launch.token));
    // SAFETY: the name ends with zero; the handle is new.
    let event = unsafe { owned(OpenEventW(SYNCHRONIZE, 0, event.as_ptr())) }.unwrap();
    assert!(!is_signalled(event.as_handle(), 0));
    assert!(is_signalled(crate::os::windows::watched::Watchable::waitable(&process), LONG));
    assert_eq!(process.exit(), Some(Exit::Code(0)));
    let said = fs::read_to_string(said).unwrap();
    let [name, temp, profile] = said.trim().split(',').collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(name.eq_ignore_ascii_case(&own_name()) && temp == "mine" && profile.contains(':'), "{said}");
}
