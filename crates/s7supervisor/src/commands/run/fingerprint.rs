//! Whether the files of a registry have changed since they were read.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use supervisor::registry::Registry;

/// What files hold, in so many bits: for this process only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    pub(super) paths: Vec<PathBuf>,
    contents: u64,
}

impl Fingerprint {
    /// That of a registry, with whatever belongs to it.
    pub(super) fn of_registry(registry: &Registry) -> Self {
        Self::of(&registry.files)
    }

    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut hash = DefaultHasher::new();
        for path in paths {
            // One that is gone is another than one that is empty.
            std::fs::read(path).ok().hash(&mut hash);
        }
        Self { paths: paths.to_vec(), contents: hash.finish() }
    }
}
