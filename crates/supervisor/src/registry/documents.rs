//! The registry and what it includes: each file read, parsed and checked for its structure.

use std::path::{Path, PathBuf};

use super::files::{Files, reason};
use super::problem::{FileId, Place, Problems, plain};
use super::reading::Reading;
use super::settings::Settings;
use super::structure::{self, Node, Role, Value};
use super::xml::{self, MAX_DEPTH};

/// What is included by itself if it stands beside the registry, so that the documented registry runs as it is.
const PROFILES_FILE: &str = "SupervisorProfiles.xml";

/// Reads the registry itself: its root, if it has one that can be read.
pub(super) fn read_registry(
    path: &Path,
    files: &mut Files,
    problems: &mut Problems,
) -> (FileId, Option<Node>) {
    files.is_new(path);
    match files.read(path, problems) {
        Ok(file) => (file, parse(file, Role::Registry, problems)),
        Err(why) => {
            let file = problems.add_file(path, "".into());
            problems.add_to_file(file, format!("the registry cannot be read: {why}"));
            problems.set_incomplete();
            (file, None)
        }
    }
}

pub(super) fn parse(file: FileId, role: Role, problems: &mut Problems) -> Option<Node> {
    let root = xml::read(file, problems).and_then(|root| structure::check(root, role, file, problems));
    if root.is_none() {
        problems.set_incomplete();
    }
    root
}

/// Reads what the registry includes.
pub(super) struct Includes<'a> {
    pub(super) files: &'a mut Files,
    pub(super) settings: &'a mut Settings,
    pub(super) problems: &'a mut Problems,
    pub(super) install_folder: &'a Path,
    /// The roots of what was read, each after that which includes it.
    pub(super) found: Vec<Node>,
}

impl Includes<'_> {
    /// Reads `SupervisorProfiles.xml`, and then what the registry names.
    pub(super) fn read_all(&mut self, registry: FileId, root: &Node, folder: &Path) {
        let profiles = folder.join(PROFILES_FILE);
        // A link to nowhere is no absence: it is told.
        if profiles.symlink_metadata().is_ok() {
            let beginning = self.problems.beginning(registry);
            self.read_file(&profiles, beginning, 1);
        }
        self.follow(&references(root), folder, 1);
    }

    fn follow(&mut self, references: &[Value], folder: &Path, depth: usize) {
        for href in references {
            let mut reading = Reading {
                settings: self.settings,
                problems: self.problems,
                install_folder: self.install_folder,
                component: None,
            };
            let paths = reading.text(href).and_then(|text| match paths(&text, folder) {
                Ok(paths) => Some(paths),
                Err(why) => {
                    reading.problems.add(href.place, format!("cannot include {}: {why}", plain(&text)));
                    None
                }
            });
            if paths.is_none() {
                self.problems.set_incomplete();
            }
            for path in paths.unwrap_or_default() {
                self.read_file(&path, href.place, depth);
            }
        }
    }

    fn read_file(&mut self, path: &Path, included_at: Place, depth: usize) {
        if !self.files.is_new(path) {
            return;
        }
        let source = if depth < MAX_DEPTH {
            self.files.read(path, self.problems)
        } else {
            Err(format!("files include each other deeper than {MAX_DEPTH}"))
        };
        let file = match source {
            Ok(file) => file,
            Err(why) => {
                let message = format!("cannot include {}: {why}", plain(&path.display().to_string()));
                self.problems.add(included_at, message);
                self.problems.set_incomplete();
                return;
            }
        };
        let Some(root) = parse(file, Role::Included, self.problems) else { return };
        self.settings.add(&root, Role::Included, self.problems);
        let references = references(&root);
        self.found.push(root);
        self.follow(&references, path.parent().unwrap_or(Path::new("")), depth + 1);
    }
}

fn references(root: &Node) -> Vec<Value> {
    root.all("include").filter_map(|include| include.attribute("href").cloned()).collect()
}

/// The files that a reference means: one, or with wildcards any number, sorted by the bytes of their names.
fn paths(href: &str, folder: &Path) -> Result<Vec<PathBuf>, String> {
    const WILDCARDS: [char; 3] = ['*', '?', '['];
    let path = folder.join(href);
    if !href.contains(WILDCARDS) {
        return Ok(vec![path]);
    }
    let (Some(parent), Some(pattern)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Err("it names no file".into());
    };
    // Whole trees would be searched otherwise, which can take for ever.
    let in_the_folder = parent.strip_prefix(folder).unwrap_or(parent);
    if in_the_folder.to_string_lossy().contains(WILDCARDS) || pattern.contains("**") {
        return Err("wildcards may stand only in the last part of a path, and ** not at all".into());
    }
    let pattern = glob::Pattern::new(pattern).map_err(|error| format!("it is no pattern: {}", error.msg))?;
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = match parent.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(reason(&error)),
    };
    let mut matching = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| reason(&error))?;
        let is_match = entry.file_name().to_str().is_some_and(|name| pattern.matches_with(name, options));
        if is_match && !entry.path().is_dir() {
            matching.push(path.with_file_name(entry.file_name()));
        }
    }
    matching.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(matching)
}
