//! Which registry, and which `temp` folder: where a supervisor is found.

use std::path::{Path, PathBuf};

use supervisor::registry::{self, LoadOptions, Registry};

use crate::arguments::Place;
use crate::exit::{Exit, Failure};
use crate::say;

/// Where the registry is when nobody says so, from the current folder.
const USUAL: [&str; 2] = ["conf/SupervisorRegistry.xml", "SupervisorRegistry.xml"];

impl Place {
    /// The registry: the argument, else `--registry` or `S7_REGISTRY`, else the one in the current folder.
    pub(crate) fn find_registry(&self, argument: Option<&Path>) -> Result<PathBuf, Failure> {
        let named = argument.or(self.registry.as_deref().filter(|path| !path.as_os_str().is_empty()));
        let usual = || USUAL.iter().map(Path::new).find(|path| path.is_file());
        let found = named.or_else(usual).ok_or_else(|| {
            let [first, second] = USUAL;
            Failure::new(
                Exit::Invalid,
                format!(
                    "cannot find a registry: there is neither {first} nor {second} in the current folder; name one \
                     with --registry or in S7_REGISTRY"
                ),
            )
        })?;
        Ok(std::path::absolute(found).unwrap_or_else(|_| found.to_owned()))
    }

    /// Reads the registry; all its problems together are the failure.
    pub(crate) fn load(&self, argument: Option<&Path>) -> Result<Registry, Failure> {
        self.load_for(argument, std::env::current_exe().ok())
    }

    /// Likewise, where the supervisor's executable is called this.
    pub(crate) fn load_for(
        &self,
        argument: Option<&Path>,
        executable: Option<PathBuf>,
    ) -> Result<Registry, Failure> {
        let path = self.find_registry(argument)?;
        let options = LoadOptions { supervisor_executable: executable, ..self.options() };
        Registry::load(&path, &options).map_err(|error| Failure::new(Exit::Invalid, say::problems(&error)))
    }

    /// How the registry is read: as the environment says, and over it the arguments.
    pub(crate) fn options(&self) -> LoadOptions {
        let mut options = LoadOptions::from_environment();
        if let Some(folder) = self.named_folder(self.install_folder.as_deref()) {
            options.install_folder = Some(folder);
        }
        options.environment.retain(|(name, value)| name != "S7_INSTALL_FOLDER" || !value.is_empty());
        options.supervisor_executable = std::env::current_exe().ok();
        options.settings.extend(self.settings.iter().cloned());
        options
    }

    /// The `temp` folder of a registry that has been read.
    pub(crate) fn temp_of(&self, registry: &Registry) -> PathBuf {
        self.named_folder(self.temp.as_deref()).unwrap_or_else(|| registry.config.temp.clone())
    }

    /// The `temp` folder of the running supervisor, whatever state the registry is in.
    pub(crate) fn find_temp(&self) -> Result<PathBuf, Failure> {
        match self.named_folder(self.temp.as_deref()) {
            Some(folder) => Ok(folder),
            None => Ok(registry::lenient_temp(&self.find_registry(None)?, &self.options())),
        }
    }

    /// The same place, seen from any folder.
    pub(crate) fn absolute(&self, registry: &Registry) -> Self {
        Self {
            registry: Some(registry.path.clone()),
            install_folder: Some(registry.install_folder.clone()),
            settings: self.settings.clone(),
            temp: Some(self.temp_of(registry)),
        }
    }

    fn named_folder(&self, folder: Option<&Path>) -> Option<PathBuf> {
        let folder = folder.filter(|path| !path.as_os_str().is_empty())?;
        Some(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()))
    }
}
