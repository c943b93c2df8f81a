//! What is told of a setting once a registry is loaded.

use std::fmt;
use std::path::PathBuf;

/// A setting of a registry, and where its value comes from.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// The name as it is written: `SV::PsHeapSize`.
    pub name: String,
    /// The value, its own settings put in. If it is [`secret`](Self::secret), show it nowhere.
    pub value: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// Whether the value must be shown nowhere.
    pub secret: bool,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secret { "(secret)" } else { &self.value };
        f.debug_struct("Setting")
            .field("name", &self.name)
            .field("value", &value)
            .field("origin", &self.origin)
            .field("secret", &self.secret)
            .finish()
    }
}

/// Where the value of a setting comes from. Displayed as people would say it: `S7_SV_PsHeapSize`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Given for this load: `--set` on the command line.
    Given,
    /// This variable of the environment.
    Environment(String),
    /// A file.
    File {
        /// Which.
        file: PathBuf,
        /// The line of its `<setting>`.
        line: usize,
    },
    /// The value that it has when nobody gives one.
    BuiltIn,
    /// Known from how the registry was loaded; it cannot be set.
    ReadOnly,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("--set"),
            Self::Environment(variable) => f.write_str(variable),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::BuiltIn => f.write_str("built-in"),
            Self::ReadOnly => f.write_str("read-only"),
        }
    }
}
