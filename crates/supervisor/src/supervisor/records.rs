//! Records of runs: what a supervisor that is killed leaves for the next one, in the folder `runs/` of its state.
//!
//! There is a small file for each component, replaced at each change by a thread of its own ([`Recorder`]), and a key from
//! which the tokens of all runs are made. The next supervisor reads them and [finds](find) what still runs, be it written down
//! or not. All of it is worth nothing any more when the machine has begun anew, so that nothing waits for a disk. After an
//! orderly end nothing of it is left.

mod digest;
mod finding;
mod folder;
mod recorder;

use std::hash::Hasher as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use self::folder::Folder;
use crate::os::{Identity, Place, monotonic, words};
use crate::spec::{ComponentId, ProcessSpec};
use crate::tokens::{Key, Tokens};

pub(super) use self::digest::digest;
pub(super) use self::finding::{Found, Main, Sought, find};
pub(super) use self::recorder::{Held, Recorder};

/// Changes with what is in the files.
pub(super) const VERSION: u32 = 1;

/// What the name of each record ends with.
const SUFFIX: &str = ".run";

/// The file with the key. No record is called so.
const KEY: &str = "key";

/// The records of an earlier supervisor, and the place for our own. No other supervisor has it as long as this, or the
/// [`Recorder`] that it becomes, lives.
#[derive(Debug)]
pub(super) struct Records {
    folder: Folder,
    place: Place,
    key: Key,
    /// When the first supervisor with this key began, on the kernel's monotonic clock.
    began: Duration,
    is_key_stored: bool,
    has_predecessor: bool,
}

/// What is remembered of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record<M> {
    /// What the core remembers.
    pub(super) memory: M,
    /// The main process of its last run, once that was started.
    pub(super) process: Option<Recorded>,
    /// What it was started with: see [`Records::digest`].
    pub(super) digest: String,
}

/// The main process of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recorded {
    /// The number of the run.
    pub(super) run: u64,
    pub(super) identity: Identity,
}

/// What was in the folder.
#[derive(Debug)]
pub(super) struct Contents<M> {
    pub(super) records: Vec<(ComponentId, Record<M>)>,
    /// What is of no use, and why: a sentence each.
    pub(super) void: Vec<String>,
}

impl Records {
    /// Opens `runs/` in the folder for state, and makes what is missing of it.
    ///
    /// # Errors
    /// A sentence: what could not be done, why, and what to do. There are no records then.
    pub(super) fn open(state: &Path) -> Result<Self, String> {
        let folder = Folder::open(state)?;
        let cannot = |what: &str, error: &io::Error| {
            let path = folder.path().display();
            format!("cannot keep records of runs in {path}: {what}: {}", words(error))
        };
        let place = Place::here().map_err(|error| cannot("the system does not tell where we are", &error))?;
        let kept = read_key(&folder, &place);
        let is_key_stored = kept.is_some();
        let first = || Ok((Key::random()?, monotonic()));
        let (key, began) =
            kept.map_or_else(first, Ok).map_err(|error: io::Error| cannot("no random bits", &error))?;
        let has_predecessor = is_key_stored;
        let mut records = Self { folder, place, key, began, is_key_stored, has_predecessor };
        if !is_key_stored {
            // What cannot be written now, the recorder writes when it can.
            records.is_key_stored = records.folder.replace(KEY, &records.key_file()).is_ok();
        }
        Ok(records)
    }

    /// The tokens of runs: the same as those of the supervisor before, unless that came to an orderly end.
    pub(super) fn tokens(&self) -> Tokens {
        Tokens::with(self.key)
    }

    /// Whether there was a supervisor before that came to no orderly end.
    pub(super) fn has_predecessor(&self) -> bool {
        self.has_predecessor
    }

    /// How long ago the first of the supervisors began that have followed each other here, with no orderly end between them: the
    /// times in their records count from that moment, and so do ours.
    pub(super) fn age(&self) -> Duration {
        monotonic().saturating_sub(self.began)
    }

    /// What a component is started with, in so many bits. It is another if a run would have to be begun anew for the component
    /// to be what its specification says.
    pub(super) fn digest(&self, spec: &ProcessSpec) -> String {
        digest::digest(spec, self.key)
    }

    /// The key with which that is made.
    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Everything that is written down.
    pub(super) fn read<M: DeserializeOwned>(&self) -> Contents<M> {
        let mut contents = Contents { records: Vec::new(), void: Vec::new() };
        let names = self.folder.names().unwrap_or_else(|error| {
            let path = self.folder.path().display();
            contents.void.push(format!("cannot list the records of runs in {path}: {}", words(&error)));
            Vec::new()
        });
        for name in names {
            // Whatever else lies there is not ours.
            let Some(id) = name.strip_suffix(SUFFIX).and_then(|id| ComponentId::new(id).ok()) else {
                continue;
            };
            match self.read_one(&id, &name) {
                Ok(Some(record)) => contents.records.push((id, record)),
                Ok(None) => {}
                Err(why) => contents.void.push(format!("the record of {id} is of no use: {why}")),
            }
        }
        contents
    }

    fn read_one<M: DeserializeOwned>(
        &self,
        id: &ComponentId,
        name: &str,
    ) -> Result<Option<Record<M>>, String> {
        let Some(content) = self.folder.read(name).map_err(|error| words(&error))? else { return Ok(None) };
        parse(&content, id, &self.place).map(Some)
    }

    fn key_file(&self) -> Vec<u8> {
        let (boot, key) = (self.place.boot.clone(), self.key.to_hex());
        // A few texts and a number can always be written as JSON.
        serde_json::to_vec(&KeyFile { version: VERSION, boot, began: self.began, key }).unwrap_or_default()
    }
}

/// The record of this component that is written so, if it was written here since the machine began.
pub(super) fn parse<M: DeserializeOwned>(
    content: &[u8],
    id: &ComponentId,
    here: &Place,
) -> Result<Record<M>, String> {
    let end = content.iter().position(|byte| *byte == b'\n').ok_or("it is cut off")?;
    let (head, record) = (&content[..end], &content[end + 1..]);
    let head: Head = serde_json::from_slice(head).map_err(|error| error.to_string())?;
    if head.version != VERSION {
        return Err(format!("it is of version {}, not {VERSION}", head.version));
    }
    if head.place.boot != here.boot {
        return Err("the machine has begun anew since".to_owned());
    }
    if head.place.namespace != here.namespace {
        return Err("it was written in another pid namespace (another container)".to_owned());
    }
    if head.check != check(id, record) {
        return Err("it is damaged".to_owned());
    }
    serde_json::from_slice(record).map_err(|error| error.to_string())
}

/// Whether this is a record that would be gone on with.
#[cfg(fuzzing)]
pub(crate) fn is_record(content: &[u8], id: &ComponentId) -> bool {
    let here = Place { boot: String::new(), namespace: 0 };
    parse::<crate::core::Memory>(content, id, &here).is_ok()
}

/// The key, if that of a supervisor since the machine began is there. What cannot be read is as good as gone.
fn read_key(folder: &Folder, place: &Place) -> Option<(Key, Duration)> {
    let content = folder.read(KEY).ok()??;
    let file: KeyFile = serde_json::from_slice(&content).ok()?;
    let is_of_use = file.version == VERSION && file.boot == place.boot && file.began <= monotonic();
    Some((Key::from_hex(&file.key).filter(|_| is_of_use)?, file.began))
}

/// The file of the key.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    version: u32,
    boot: String,
    began: Duration,
    key: String,
}

/// The first line of a record, in every version. The second one is the record itself.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    #[serde(flatten)]
    place: Place,
    /// By which a record is known that is not as it was written.
    check: String,
}

/// A record as it is written.
fn page<M: Serialize>(id: &ComponentId, place: &Place, record: &Record<M>) -> serde_json::Result<Vec<u8>> {
    let record = serde_json::to_vec(record)?;
    let head = Head { version: VERSION, place: place.clone(), check: check(id, &record) };
    let mut page = serde_json::to_vec(&head)?;
    page.push(b'\n');
    page.extend(record);
    Ok(page)
}

fn check(id: &ComponentId, record: &[u8]) -> String {
    let mut hash = SipHasher24::new();
    hash.write(id.as_str().as_bytes());
    hash.write(b"\n");
    hash.write(record);
    format!("{:032x}", hash.finish128().as_u128())
}

#[cfg(test)]
mod tests;
