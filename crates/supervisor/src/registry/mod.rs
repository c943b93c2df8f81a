//! `SupervisorRegistry.xml` -> the components to run: [`Registry::load`].
//!
//! A registry names the components of a server and says how each is run. `docs/registry.md` is the manual of its
//! grammar; this module reads it strictly, and tells everything that is wrong at once.
//!
//! The way of a value, each step a file of this module:
//!
//! 1. `files`: the bytes of a file, bounded, and for root only what nobody else could have written;
//! 2. `xml`: a tree of elements with their places, the only step that knows the XML parser;
//! 3. `structure`: the same tree by the table of `grammar`: nothing unknown, repeated or misplaced is left;
//! 4. `documents`: the same for every file that is included;
//! 5. `settings`: what `SV::Name` stands for; `reading`: put in, and the value checked by its kind (`values`);
//! 6. `profiles`: which bundles a server is made of, and `layers`: which of them has the say;
//! 7. `components`: one [`ProcessSpec`] for each instance, which `maker` fills in, with `restarts`, `checks` and `steps`
//!    for what these say; `relations`: whether what components have to do with each other makes sense.
//!
//! All steps tell what is wrong to `problem` and go on with what is left.

mod checks;
mod components;
mod config;
mod documents;
mod environment_file;
mod files;
mod grammar;
mod layers;
mod logs;
mod maker;
mod outline;
mod outputs;
mod problem;
mod profiles;
mod reading;
mod relations;
mod restarts;
#[cfg(test)]
mod schema;
mod setting;
mod settings;
mod steps;
mod structure;
mod values;
mod xml;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::config::{Config, LogFormat};
pub use self::problem::{Problem, RegistryError};
pub use self::setting::{Origin, Setting};

use self::components::Components;
use self::documents::Includes;
use self::files::{Files, Scope};
use self::maker::OwnLog;
use self::problem::{FileId, Problems};
use self::profiles::Profiles;
use self::reading::Reading;
use self::settings::Settings;
use self::structure::{Node, Role};
use crate::spec::ProcessSpec;

/// A registry: which components there are, and what the supervisor itself is to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Registry {
    /// The file, absolute.
    pub path: PathBuf,
    /// The folder that relative paths of the registry are relative to, absolute.
    pub install_folder: PathBuf,
    /// What it says about the supervisor itself.
    pub config: Config,
    /// The components, in the order in which they stand in the registry and then in what it includes.
    pub components: Vec<ProcessSpec>,
    /// Every setting, by name.
    pub settings: Vec<Setting>,
    /// Every file that was read, absolute: the registry, what it includes, and files of environment variables.
    pub files: Vec<PathBuf>,
}

/// What a registry is loaded with beside its file.
#[derive(Clone)]
pub struct LoadOptions {
    /// The folder that relative paths are relative to. Default: `S7_INSTALL_FOLDER` of `environment`, else the
    /// parent of the registry's folder if that is called `conf`, else the registry's own folder.
    pub install_folder: Option<PathBuf>,
    /// Settings that are stronger than all others, by name, with or without `SV::`; of the same name the last one.
    pub settings: Vec<(String, String)>,
    /// Variables in which `S7_INSTALL_FOLDER` and settings (`S7_SV_Name`) are looked up. Default: none; see
    /// [`LoadOptions::from_environment`].
    pub environment: Vec<(String, String)>,
    /// What `SV::supervisorExecutable` stands for. Default: that setting is not known.
    pub supervisor_executable: Option<PathBuf>,
    /// Refuse files that others than root can write, or put others in the place of. Default: if this process runs as
    /// root, which then does whatever those files say.
    pub check_ownership: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            install_folder: None,
            settings: Vec::new(),
            environment: Vec::new(),
            supervisor_executable: None,
            check_ownership: files::is_root(),
        }
    }
}

impl LoadOptions {
    /// The defaults, with the environment of this process. What is not UTF-8 in it is left out.
    #[must_use]
    pub fn from_environment() -> Self {
        let is_ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            name.starts_with("S7_").then_some((name, value))
        };
        Self { environment: std::env::vars_os().filter_map(is_ours).collect(), ..Self::default() }
    }
}

impl fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets, which only the registry knows.
        let names =
            |pairs: &[(String, String)]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("LoadOptions")
            .field("install_folder", &self.install_folder)
            .field("settings", &names(&self.settings))
            .field("environment", &names(&self.environment))
            .field("supervisor_executable", &self.supervisor_executable)
            .field("check_ownership", &self.check_ownership)
            .finish()
    }
}

impl Registry {
    /// Loads the registry at `path` and everything that it includes.
    ///
    /// ```no_run
    /// use std::path::Path;
    /// use supervisor::registry::{LoadOptions, Registry};
    ///
    /// let path = Path::new("conf/SupervisorRegistry.xml");
    /// match Registry::load(path, &LoadOptions::from_environment()) {
    ///     Ok(registry) => println!("{} components", registry.components.len()),
    ///     Err(error) => eprint!("{}", error.render(true)),
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RegistryError`] with every problem that was found.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, RegistryError> {
        let mut loader = Loader::read(path, options, Scope::Everything);
        let registry = loader.registry(options);
        match loader.problems.finish() {
            Some(error) => Err(error),
            None => Ok(registry),
        }
    }

    /// What is valid but probably not meant, a sentence each: a component that starts by itself and depends on one that does
    /// not, for instance, which will have to wait until somebody starts that one.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        crate::relations::doubts(&self.components)
    }
}

/// The folder in which a supervisor of the registry at `path` keeps what it needs while it runs: so that a running
/// one can be found though its registry can no longer be loaded.
///
/// What can be read of the registry is used, and who may write it does not matter. Where there is nothing to go by,
/// it is `temp` in the install folder.
#[must_use]
pub fn lenient_temp(path: &Path, options: &LoadOptions) -> PathBuf {
    lenient_config(path, options).temp
}

/// Where the own log of a supervisor of the registry at `path` is, without the date: likewise, so that it can be read though
/// the registry can no longer be loaded.
#[must_use]
pub fn lenient_log(path: &Path, options: &LoadOptions) -> PathBuf {
    lenient_config(path, options).log
}

fn lenient_config(path: &Path, options: &LoadOptions) -> Config {
    let options = LoadOptions { check_ownership: false, ..options.clone() };
    Loader::read(path, &options, Scope::WithoutComponents).config()
}

/// What is wrong with the text and the structure of a registry with these bytes.
#[cfg(fuzzing)]
pub(crate) fn problems_of_structure(bytes: &[u8]) -> Option<RegistryError> {
    let mut problems = Problems::default();
    let file = files::decode(Path::new("registry.xml"), bytes, &mut problems);
    // The tree is of no use here.
    let _ = documents::parse(file, Role::Registry, &mut problems);
    problems.finish()
}

/// A registry all of whose files have been read.
struct Loader {
    path: PathBuf,
    install_folder: PathBuf,
    /// The registry itself, for what has no place in it.
    file: FileId,
    /// The roots of the registry and of what it includes.
    registry: Option<Node>,
    included: Vec<Node>,
    settings: Settings,
    files: Files,
    problems: Problems,
}

impl Loader {
    fn read(path: &Path, options: &LoadOptions, scope: Scope) -> Self {
        let mut problems = Problems::default();
        let mut files = Files::new(options.check_ownership, scope);
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let install_folder = install_folder(&absolute, options);
        let registry_folder = absolute.parent().unwrap_or(&absolute);
        let (file, registry) = documents::read_registry(path, &mut files, &mut problems);
        let mut settings = Settings::new(options, &install_folder, registry_folder, file, &mut problems);
        let mut included = Vec::new();
        if let Some(root) = &registry {
            settings.add(root, Role::Registry, &mut problems);
            let mut includes = Includes {
                files: &mut files,
                settings: &mut settings,
                problems: &mut problems,
                install_folder: &install_folder,
                found: Vec::new(),
            };
            includes.read_all(file, root, path.parent().unwrap_or(Path::new("")));
            included = includes.found;
        }
        Self { path: absolute, install_folder, file, registry, included, settings, files, problems }
    }

    fn registry(&mut self, options: &LoadOptions) -> Registry {
        let config = self.config();
        let roots: Vec<&Node> = self.registry.iter().chain(&self.included).collect();
        let mut reading = Reading {
            settings: &mut self.settings,
            problems: &mut self.problems,
            install_folder: &self.install_folder,
            component: None,
        };
        for root in &roots {
            reading.check_all(root);
        }
        let profiles = Profiles::collect(roots.iter().copied(), &mut reading);
        let own_log = OwnLog { path: &config.log, days: config.log_days };
        let components =
            Components::new(reading, &mut self.files, &profiles, own_log).make(roots.iter().copied());
        let settings = self.settings.all(&mut self.problems);
        self.settings.check_given(options, self.file, &mut self.problems);
        Registry {
            path: self.path.clone(),
            install_folder: self.install_folder.clone(),
            config,
            components,
            settings,
            files: self.files.paths(),
        }
    }

    fn config(&mut self) -> Config {
        let mut reading = Reading {
            settings: &mut self.settings,
            problems: &mut self.problems,
            install_folder: &self.install_folder,
            component: None,
        };
        config::read(self.registry.as_ref(), self.file, &mut reading)
    }
}

/// The folder that relative paths of the registry at this absolute path are relative to.
fn install_folder(registry: &Path, options: &LoadOptions) -> PathBuf {
    let variable = || options.environment.iter().rev().find(|(name, _)| name == "S7_INSTALL_FOLDER");
    let given = options.install_folder.clone().or_else(|| variable().map(|(_, value)| value.into()));
    if let Some(given) = given {
        return std::path::absolute(&given).unwrap_or(given);
    }
    let folder = registry.parent().unwrap_or(registry);
    let is_conf = folder.file_name().is_some_and(|name| name == "conf");
    folder.parent().filter(|_| is_conf).unwrap_or(folder).to_owned()
}
