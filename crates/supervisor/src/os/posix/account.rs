//! Users and groups: who a component runs as, and what comes with it.
//!
//! Accounts are looked up anew for each run, so a changed account counts from the next start on. A name service may be slow,
//! or hang: whoever looks one up must not be waited for. A component without user and group is never looked up.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use rustix::process::{getegid, geteuid, getgid, getgroups, getuid};

use super::words;
use crate::error::{SpawnError, SpawnStep};
use crate::spec::{Environment, ProcessSpec};

/// Who a component runs as.
#[derive(Debug)]
pub(crate) struct Account {
    change: Change,
    variables: Vec<(&'static str, OsString)>,
}

/// The ids that the child has to take on.
#[derive(Clone, Debug)]
pub(in crate::os) struct Change {
    pub(in crate::os) user: Option<u32>,
    pub(in crate::os) group: u32,
    pub(in crate::os) groups: Vec<u32>,
}

impl Account {
    /// Whether this specification needs an account.
    pub(crate) fn is_needed(spec: &ProcessSpec) -> bool {
        spec.user.is_some() || spec.group.is_some()
    }

    /// The account of this user and group; `None` if neither is named. It may take long.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, SpawnError> {
        let group = group.map(find_group).transpose()?;
        let Some(name) = user else {
            let change = |group| Change { user: None, group, groups: vec![group] };
            return Ok(group.map(|group| Self { change: change(group), variables: Vec::new() }));
        };
        match find_user(name)? {
            User::Known(entry) => {
                let group = group.unwrap_or(entry.group);
                let groups = groups_of(&entry.name, group).map_err(|error| {
                    let reason = format!("the groups of user {name:?}: {}", words(&error));
                    SpawnError { step: SpawnStep::User, reason, os_error: error.raw_os_error() }
                })?;
                let text = |text: &CStr| OsStr::from_bytes(text.to_bytes()).to_owned();
                let variables = vec![
                    ("HOME", text(&entry.home)),
                    ("USER", text(&entry.name)),
                    ("LOGNAME", text(&entry.name)),
                    ("SHELL", text(&entry.shell)),
                ];
                Ok(Some(Self { change: Change { user: Some(entry.user), group, groups }, variables }))
            }
            // A number needs no account, but nothing of the supervisor's own may shine through.
            User::Number(user) => {
                let Some(group) = group else {
                    let reason = format!("there is no account for user {name}: name its group as well");
                    return Err(SpawnError { step: SpawnStep::User, reason, os_error: None });
                };
                let variables = vec![("HOME", "/"), ("USER", name), ("LOGNAME", name), ("SHELL", "/bin/sh")];
                let variables = variables.into_iter().map(|(name, value)| (name, value.into())).collect();
                let change = Change { user: Some(user), group, groups: vec![group] };
                Ok(Some(Self { change, variables }))
            }
        }
    }

    /// Its user, if that is not our own.
    pub(crate) fn other_user(&self) -> Option<u32> {
        self.change.user.filter(|user| *user != geteuid().as_raw())
    }

    /// `HOME`, `USER`, `LOGNAME` and `SHELL`, but for those that the component sets itself.
    pub(super) fn variables_beside<'a>(
        &'a self,
        own: &'a Environment,
    ) -> impl Iterator<Item = (&'static str, &'a OsStr)> {
        let is_own = |name: &str| own.variables.iter().any(|variable| variable.name == name);
        let others = self.variables.iter().filter(move |(name, _)| !is_own(name));
        others.map(|(name, value)| (*name, value.as_os_str()))
    }

    /// What there is to change: nothing where this process is that account already, for it may not have the right.
    pub(super) fn change(&self) -> Option<Change> {
        let Change { user, group, groups } = &self.change;
        let same_user = user.is_none_or(|user| getuid().as_raw() == user && geteuid().as_raw() == user);
        let same_group = getgid().as_raw() == *group && getegid().as_raw() == *group;
        (!(same_user && same_group && same_groups(groups, *group))).then(|| self.change.clone())
    }
}

/// Whether this process has just these supplementary groups; the main group may be among them or not.
fn same_groups(groups: &[u32], main: u32) -> bool {
    let set = |groups: &mut dyn Iterator<Item = u32>| groups.chain([main]).collect::<BTreeSet<_>>();
    let wanted = set(&mut groups.iter().copied());
    getgroups().is_ok_and(|own| set(&mut own.iter().map(|group| group.as_raw())) == wanted)
}

enum User {
    Known(Entry),
    Number(u32),
}

/// What of a line of the user database is of use here.
struct Entry {
    name: CString,
    user: u32,
    group: u32,
    home: CString,
    shell: CString,
}

fn find_user(name: &str) -> Result<User, SpawnError> {
    let unknown = || format!("there is no user {name:?}");
    let failed = |reason, os_error| SpawnError { step: SpawnStep::User, reason, os_error };
    let system = |error: io::Error| failed(format!("{name:?}: {}", words(&error)), error.raw_os_error());
    if let Some(number) = number(name) {
        let number = number.ok_or_else(|| failed(unknown(), None))?;
        // SAFETY: the record, the buffer with its length and the result are valid for the call.
        let entry = look_up(|record, buffer, size, result| unsafe {
            libc::getpwuid_r(number, record, buffer, size, result)
        });
        let user = User::Number(number);
        return Ok(entry.map_err(system)?.map_or(user, User::Known));
    }
    let c_name = CString::new(name).map_err(|_| failed(unknown(), None))?;
    // SAFETY: as above; the name ends with null.
    let entry = look_up(|record, buffer, size, result| unsafe {
        libc::getpwnam_r(c_name.as_ptr(), record, buffer, size, result)
    });
    entry.map_err(system)?.map(User::Known).ok_or_else(|| failed(unknown(), None))
}

fn find_group(name: &str) -> Result<u32, SpawnError> {
    let failed = |reason, os_error| SpawnError { step: SpawnStep::Group, reason, os_error };
    let unknown = || failed(format!("there is no group {name:?}"), None);
    if let Some(number) = number(name) {
        return number.ok_or_else(unknown);
    }
    let c_name = CString::new(name).map_err(|_| unknown())?;
    // SAFETY: the name ends with null; the record, the buffer with its length and the result are valid for the call.
    let group = look_up(|record, buffer, size, result| unsafe {
        libc::getgrnam_r(c_name.as_ptr(), record, buffer, size, result)
    });
    let system = |error: io::Error| failed(format!("{name:?}: {}", words(&error)), error.raw_os_error());
    group.map_err(system)?.ok_or_else(unknown)
}

/// The id that a name of digits is: `Some(None)` if there can be no such id. The highest number is none: to the
/// system it means "leave it as it is", which would leave a component with the supervisor's rights.
fn number(name: &str) -> Option<Option<u32>> {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| name.parse().ok().filter(|number| *number != u32::MAX))
}

/// A record of a database of the C library, and what is kept of it.
trait Record {
    type Kept;

    /// # Safety
    /// The record was filled in by the C library, and its buffer is alive.
    unsafe fn keep(&self) -> Self::Kept;
}

impl Record for libc::passwd {
    type Kept = Entry;

    unsafe fn keep(&self) -> Entry {
        // SAFETY: the C library gives each of them as null or as a text that ends with null.
        let text = |text: *const c_char| unsafe {
            if text.is_null() { CString::default() } else { CStr::from_ptr(text).to_owned() }
        };
        Entry {
            name: text(self.pw_name),
            user: self.pw_uid,
            group: self.pw_gid,
            home: text(self.pw_dir),
            shell: text(self.pw_shell),
        }
    }
}

impl Record for libc::group {
    type Kept = u32;

    unsafe fn keep(&self) -> u32 {
        self.gr_gid
    }
}

/// Asks one of the `get..._r` functions, with a buffer that grows until the answer fits.
fn look_up<R: Record>(
    ask: impl Fn(*mut R, *mut c_char, usize, *mut *mut R) -> c_int,
) -> io::Result<Option<R::Kept>> {
    const LARGEST: usize = 1 << 20;
    let mut buffer: Vec<c_char> = vec![0; 1024];
    loop {
        let (mut record, mut result) = (MaybeUninit::<R>::uninit(), ptr::null_mut());
        match ask(record.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut result) {
            0 if result.is_null() => return Ok(None),
            // SAFETY: the call has succeeded and `result` is not null: the record is filled in, and its texts are in
            // the buffer, which is still alive.
            0 => return Ok(Some(unsafe { record.assume_init_ref().keep() })),
            // What some systems say instead of "none": https://man7.org/linux/man-pages/man3/getpwnam.3.html
            libc::ENOENT | libc::ESRCH => return Ok(None),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < LARGEST => buffer.resize(buffer.len() * 4, 0),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// The supplementary groups of a user, its main group among them.
fn groups_of(user: &CStr, main: u32) -> io::Result<Vec<u32>> {
    const MOST: usize = 65_536;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = c_int::try_from(groups.len()).unwrap_or(c_int::MAX);
        // SAFETY: the name ends with null, and there is room for `count` groups. The systems differ in whether their numbers have a
        // sign, and not in their size.
        let answer = unsafe {
            libc::getgrouplist(user.as_ptr(), main as _, groups.as_mut_ptr().cast(), &raw mut count)
        };
        let count = usize::try_from(count).unwrap_or(0);
        if answer >= 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        if groups.len() >= MOST {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        // Some systems say how many there are, some only that there are more.
        groups.resize(count.max(groups.len() * 2).min(MOST), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::fixture::Component;
    use crate::spec::Variable;

    fn output_as(user: Option<&str>, group: Option<&str>, script: &str) -> Result<String, SpawnError> {
        let mut component = Component::shell(script);
        component.spec.user = user.map(str::to_owned);
        component.spec.group = group.map(str::to_owned);
        component.spec.environment.variables =
            vec![Variable { name: "SHELL".into(), value: "mine".into(), secret: false }];
        for (name, value) in [("SHELL", "mine"), ("HOME", "/supervisor"), ("USER", "supervisor")] {
            component.set(name, value);
        }
        let mut text = String::new();
        component.try_start().map(|mut started| {
            loop {
                match started.line() {
                    line if line.is_empty() => return std::mem::take(&mut text),
                    line => text += &(line + "\n"),
                }
            }
        })
    }

    fn is_root() -> bool {
        let root = geteuid().is_root();
        if !root {
            eprintln!("skipped: it takes root");
        }
        root
    }

    #[test]
    fn who_does_not_exist_is_named() {
        let failure = |user, group| {
            let error = output_as(user, group, "true").unwrap_err();
            (error.step, error.reason)
        };
        for user in ["no such user", "4294967295", "99999999999", "", "a\0b"] {
            let expected = format!("there is no user {user:?}");
            assert_eq!(failure(Some(user), None), (SpawnStep::User, expected));
            let expected = format!("there is no group {user:?}");
            assert_eq!(failure(None, Some(user)), (SpawnStep::Group, expected));
        }
        let expected = "there is no account for user 4200000001: name its group as well".to_owned();
        assert_eq!(failure(Some("4200000001"), None), (SpawnStep::User, expected));
    }

    #[test]
    fn with_a_user_come_its_groups_and_variables_but_for_the_components_own() {
        if !is_root() {
            return;
        }
        let script =
            "id -u; id -g; id -G; id -G daemon; echo $HOME $USER $LOGNAME $SHELL; grep Uid /proc/self/status";
        for user in ["daemon", "1"] {
            let told = output_as(Some(user), None, script).unwrap();
            let lines: Vec<_> = told.lines().collect();
            assert_eq!(lines[..2], ["1", "1"]);
            assert_eq!(lines[2], lines[3]);
            assert_eq!(lines[4], "/usr/sbin daemon daemon mine");
            assert_eq!(lines[5].split_whitespace().collect::<Vec<_>>(), ["Uid:", "1", "1", "1", "1"]);
        }
    }

    #[test]
    fn a_number_without_an_account_inherits_nothing_of_the_supervisors() {
        if !is_root() {
            return;
        }
        let script = "id -u; id -G; echo $HOME $USER $LOGNAME $SHELL";
        let told = output_as(Some("4200000001"), Some("nogroup"), script).unwrap();
        assert_eq!(told, "4200000001\n65534\n/ 4200000001 4200000001 mine\n");
    }

    #[test]
    fn a_group_alone_leaves_the_user() {
        if !is_root() {
            return;
        }
        assert_eq!(
            output_as(None, Some("daemon"), "id -u; id -G; echo $HOME").unwrap(),
            "0\n1\n/supervisor\n"
        );
    }

    #[test]
    fn who_is_that_user_already_needs_no_right() {
        let own = geteuid().as_raw().to_string();
        let group = getegid().as_raw().to_string();
        let mut account = Account::find(Some(&own), Some(&group)).unwrap().unwrap();
        account.change.groups = getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        assert!(account.change().is_none());
    }

    #[test]
    fn many_groups_are_not_cut_off() {
        let root = groups_of(c"root", 12_345).unwrap();
        assert!(root.contains(&12_345));
    }
}
