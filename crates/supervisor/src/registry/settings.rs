//! Settings: where the value of `SV::Name` comes from.
//!
//! Strongest first: `--set`, the environment (`S7_SV_Name`), the registry, what it includes, built-in. What comes
//! from outside the files is literal; a setting of a file may refer to others.

mod expansion;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use self::expansion::MAX_ALL_VALUES;
use super::LoadOptions;
use super::problem::{FileId, Place, Problems, Told, plain, quoted};
use super::setting::{Origin, Setting};
use super::structure::{Node, Role, Value};
use super::values;
use super::xml::MAX_VALUE;

/// The setting that stands for the number of days that logs are kept, as the original product calls it.
const MAX_DAYS: &str = "TC::maxDays";
/// What has its value from elsewhere.
const READ_ONLY: [&str; 6] =
    ["SV", "installFolder", "registryFolder", "supervisorExecutable", "id", "instance"];
/// The most days for which logs can be kept.
const MOST_DAYS: u32 = 36_500;
/// The component in which a value stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Component<'a> {
    pub(super) id: &'a str,
    pub(super) instance: u32,
}

/// A value whose settings are put in.
#[derive(Debug, Clone)]
pub(super) struct Expanded {
    pub(super) text: Rc<str>,
    /// The secret setting that is a part of it, if one is.
    pub(super) secret: Option<Rc<str>>,
}

/// All settings that are known.
pub(super) struct Settings {
    /// By name without `SV::`, and `TC::maxDays` by its whole name.
    definitions: BTreeMap<String, Definition>,
    resolved: HashMap<String, Result<Expanded, Told>>,
    /// The settings that are being resolved, each for the one before.
    path: Vec<String>,
    used: HashSet<String>,
    /// Where an unknown name has been told: to look for similar ones again and again would take long.
    told_unknown: HashSet<Place>,
    left: usize,
}

/// Everybody who gives a setting a value.
#[derive(Default)]
struct Definition {
    /// `--set` or the environment.
    outside: Option<(Rc<str>, Origin)>,
    file: Option<InFile>,
    /// Built-in or read-only.
    fallback: Option<(Rc<str>, Origin)>,
    /// Each `secret` attribute: what anybody calls a secret is one.
    secret: Vec<Value>,
}

struct InFile {
    /// `None` if the element has no usable one.
    value: Option<Value>,
    name: Place,
    role: Role,
}

impl Settings {
    /// The settings that do not come from files.
    pub(super) fn new(
        options: &LoadOptions,
        install_folder: &Path,
        registry_folder: &Path,
        registry: FileId,
        problems: &mut Problems,
    ) -> Self {
        let mut settings = Self {
            definitions: BTreeMap::new(),
            resolved: HashMap::new(),
            path: Vec::new(),
            used: HashSet::new(),
            told_unknown: HashSet::new(),
            left: MAX_ALL_VALUES,
        };
        for (name, value) in built_in() {
            settings.definition(name).fallback = Some((value.into(), Origin::BuiltIn));
        }
        let paths = [
            ("installFolder", Some(install_folder)),
            ("registryFolder", Some(registry_folder)),
            ("supervisorExecutable", options.supervisor_executable.as_deref()),
        ];
        for (name, path) in paths {
            // A path that is not UTF-8 stays unknown: it could not be put into a text without changing it.
            if let Some(path) = path.and_then(Path::to_str) {
                settings.definition(name).fallback = Some((path.into(), Origin::ReadOnly));
            }
        }
        for (variable, value) in &options.environment {
            let Some(name) = variable.strip_prefix("S7_SV_").filter(|name| is_name(name)) else { continue };
            let origin = Origin::Environment(variable.clone());
            settings.add_from_outside(name, value, origin, registry, problems);
        }
        for (name, value) in &options.settings {
            settings.add_from_outside(name, value, Origin::Given, registry, problems);
        }
        settings
    }

    /// Adds the settings of a file.
    pub(super) fn add(&mut self, root: &Node, role: Role, problems: &mut Problems) {
        // What was resolved may have been the weaker, or not known yet.
        self.resolved.clear();
        for setting in root.all("settings").flat_map(|settings| settings.all("setting")) {
            if let Some(name) = setting.attribute("name").filter(|name| !name.broken) {
                self.add_from_file(name, setting, role, problems);
            }
        }
    }

    fn add_from_file(&mut self, name: &Value, setting: &Node, role: Role, problems: &mut Problems) {
        let short = if &*name.text == MAX_DAYS { Some(MAX_DAYS) } else { name.text.strip_prefix("SV::") };
        let Some(short) = short.filter(|short| is_name(short) || *short == MAX_DAYS) else {
            let message = format!(
                "the name of a setting must be SV:: and ASCII letters, digits and \"_\", not {}",
                quoted(&name.text)
            );
            problems.add(name.place, message);
            return;
        };
        if READ_ONLY.contains(&short) {
            problems.add(name.place, format!("SV::{short} cannot be set: its value is given"));
            return;
        }
        let definition = self.definition(short);
        definition.secret.extend(setting.attribute("secret").cloned());
        match &definition.file {
            // Files are read after the registry that includes them, so that the first of two ranks at least as high.
            Some(first) if first.role == role => {
                let first = problems.position(first.name);
                problems.add(name.place, format!("the setting {} is also defined at {first}", name.text));
            }
            Some(_) => {}
            None => definition.file = Some(InFile { value: setting.value.clone(), name: name.place, role }),
        }
    }

    fn add_from_outside(
        &mut self,
        name: &str,
        value: &str,
        origin: Origin,
        registry: FileId,
        problems: &mut Problems,
    ) {
        let short = name.strip_prefix("SV::").unwrap_or(name);
        let problem = if !is_name(short) && short != MAX_DAYS {
            "the name of a setting has only ASCII letters, digits and \"_\""
        } else if READ_ONLY.contains(&short) {
            "this setting cannot be set: its value is given"
        } else if value.len() > MAX_VALUE {
            "the value is longer than 64 KiB"
        } else if value.contains('\0') {
            "the value contains the character U+0000"
        } else {
            self.definition(short).outside = Some((value.into(), origin));
            return;
        };
        let source =
            if origin == Origin::Given { format!("--set {}", plain(name)) } else { origin.to_string() };
        problems.add_to_file(registry, format!("{source}: {problem}"));
    }

    fn definition(&mut self, name: &str) -> &mut Definition {
        self.definitions.entry(name.to_owned()).or_default()
    }

    /// Every setting, by name, and tells what is wrong with any of them.
    pub(super) fn all(&mut self, problems: &mut Problems) -> Vec<Setting> {
        let names: Vec<String> = self.definitions.keys().cloned().collect();
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            let Ok(Expanded { text, secret }) = self.resolve(&name, problems) else { continue };
            let Some(origin) = self.definitions.get(&name).and_then(|known| known.origin(problems)) else {
                continue;
            };
            let (name, value) = (long_name(&name), text.as_ref().into());
            all.push(Setting { name, value, origin, secret: secret.is_some() });
        }
        all
    }

    /// Tells settings that were given and that nothing knows: a misspelt `--set` would do nothing at all.
    pub(super) fn check_given(&self, options: &LoadOptions, registry: FileId, problems: &mut Problems) {
        for (given, _) in &options.settings {
            let name = given.strip_prefix("SV::").unwrap_or(given);
            let Some(definition) = self.definitions.get(name) else { continue };
            let is_known = definition.file.is_some() || definition.fallback.is_some() || name == MAX_DAYS;
            if !is_known && !self.used.contains(name) && !problems.is_incomplete() {
                let suggestion = self.suggestion(name);
                let message =
                    format!("--set {given}: no setting has this name, and nothing refers to it{suggestion}");
                problems.add_to_file(registry, message);
            }
        }
    }

    /// The value of `TC::maxDays`, if somebody gave one.
    pub(super) fn max_days(&mut self, registry: FileId, problems: &mut Problems) -> Option<u32> {
        let definition = self.definitions.get(MAX_DAYS)?;
        let place = match definition {
            Definition { outside: None, file: Some(file), .. } => {
                file.value.as_ref().map_or(file.name, |value| value.place)
            }
            _ => problems.beginning(registry),
        };
        let expanded = self.resolve(MAX_DAYS, problems).ok()?;
        let days = match expanded.secret {
            Some(_) => Err("cannot be a secret".into()),
            None => values::number(&expanded.text, 1, MOST_DAYS.into()),
        };
        days.map_err(|problem| problems.add(place, format!("{MAX_DAYS} {problem}")))
            .ok()
            .and_then(|days| u32::try_from(days).ok())
    }
}

impl Definition {
    fn origin(&self, problems: &Problems) -> Option<Origin> {
        let (outside, fallback) = (self.outside.as_ref(), self.fallback.as_ref());
        match (outside, &self.file, fallback) {
            (Some((_, origin)), _, _) | (None, None, Some((_, origin))) => Some(origin.clone()),
            (None, Some(in_file), _) => {
                let (file, line) = problems.line(in_file.name);
                Some(Origin::File { file, line })
            }
            (None, None, None) => None,
        }
    }
}

fn built_in() -> [(&'static str, &'static str); 6] {
    let is_64_bit_linux = cfg!(all(target_os = "linux", target_pointer_width = "64"));
    let image_server = if is_64_bit_linux { "ImageServer64" } else { "ImageServer32" };
    [
        ("log", "logs/Supervisor.log"),
        ("temp", "temp"),
        ("tracelevel", "2"),
        ("PsHeapSize", "512m"),
        ("SvgHeapSize", "200m"),
        ("ImageServerMode", image_server),
    ]
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_character)
}

fn long_name(name: &str) -> String {
    if name == MAX_DAYS { name.to_owned() } else { format!("SV::{name}") }
}
