//! The program, its arguments and its environment in the form that the system takes.

use std::collections::HashMap;
use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::{iter, ptr};

use super::account::Account;
use super::executable;
use crate::os::{Launch, RUN_VARIABLE, TASK_VARIABLE};

/// What is executed. It may be moved: where its texts are stays the same.
#[derive(Debug)]
pub(in crate::os) struct Image {
    programs: Texts,
    arguments: Texts,
    environment: Texts,
    is_looked_for: bool,
}

impl Image {
    /// What the launch asks for, as this account. None of it may contain a NUL byte.
    pub(super) fn of(launch: &Launch<'_>, account: Option<&Account>) -> Self {
        let arguments = iter::once(launch.program()).chain(launch.arguments().iter().map(|it| &**it));
        let programs = executable::candidates(launch.program(), executable::path(launch));
        let environment = environment(launch, account);
        Self {
            programs: Texts::of(programs.iter().map(|program| [program.as_os_str().as_bytes()])),
            arguments: Texts::of(arguments.map(|argument| [argument.as_bytes()])),
            environment: Texts::of(
                environment.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()]),
            ),
            is_looked_for: executable::is_bare(launch.program()),
        }
    }

    /// The programs to be tried, one after the other.
    pub(in crate::os) fn programs(&self) -> impl Iterator<Item = *const c_char> {
        self.programs.pointers.iter().copied().filter(|program| !program.is_null())
    }

    /// Whether the program has a bare name, which is looked for in several folders.
    pub(in crate::os) fn is_looked_for(&self) -> bool {
        self.is_looked_for
    }

    /// The list of arguments, which ends with null.
    pub(in crate::os) fn arguments(&self) -> *const *const c_char {
        self.arguments.pointers.as_ptr()
    }

    /// The list of variables, which ends with null.
    pub(in crate::os) fn environment(&self) -> *const *const c_char {
        self.environment.pointers.as_ptr()
    }
}

/// The whole environment: of variables with the same name, the last.
fn environment<'a>(launch: &Launch<'a>, account: Option<&'a Account>) -> Vec<(&'a OsStr, &'a OsStr)> {
    fn borrowed((name, value): &(impl AsRef<OsStr>, impl AsRef<OsStr>)) -> (&OsStr, &OsStr) {
        (name.as_ref(), value.as_ref())
    }
    let of_account =
        account.into_iter().flat_map(|account| account.variables_beside(&launch.spec.environment));
    let of_account = of_account.map(|(name, value)| (OsStr::new(name), value));
    let tokens = iter::once((OsStr::new(RUN_VARIABLE), OsStr::new(launch.token)))
        .chain(launch.errand.map(|errand| (OsStr::new(TASK_VARIABLE), OsStr::new(errand.token))));
    let all = launch.environment.iter().map(borrowed).chain(of_account);
    let all = all.chain(launch.added.iter().map(borrowed)).chain(tokens);

    let mut places = HashMap::with_capacity(launch.environment.len() + 8);
    let mut pairs: Vec<(&OsStr, &OsStr)> = Vec::with_capacity(launch.environment.len() + 8);
    for pair in all {
        let place = *places.entry(pair.0).or_insert(pairs.len());
        if place < pairs.len() { pairs[place] = pair } else { pairs.push(pair) }
    }
    pairs
}

/// Texts that end with null, one behind the other, and the list of pointers to them that ends with null too.
#[derive(Debug)]
struct Texts {
    pointers: Vec<*const c_char>,
    _bytes: Vec<u8>,
}

// SAFETY: the pointers lead to the bytes beside them, which are never changed and live on the heap for as long.
unsafe impl Send for Texts {}
// SAFETY: as above; they are only read.
unsafe impl Sync for Texts {}

impl Texts {
    /// Each text is made of these parts.
    fn of<'a, const PARTS: usize>(texts: impl Iterator<Item = [&'a [u8]; PARTS]> + Clone) -> Self {
        let lengths = texts.clone().map(|parts| parts.iter().map(|part| part.len()).sum::<usize>() + 1);
        let (count, length) = lengths.fold((0, 0), |(count, sum), length| (count + 1, sum + length));
        let (mut bytes, mut begins) = (Vec::with_capacity(length), Vec::with_capacity(count));
        for parts in texts {
            begins.push(bytes.len());
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes.push(0);
        }
        // Only now, when the bytes do not move any more.
        let pointer = |begin: usize| bytes[begin..].as_ptr().cast::<c_char>();
        let pointers = begins.into_iter().map(pointer).chain([ptr::null()]).collect();
        Self { pointers, _bytes: bytes }
    }
}
