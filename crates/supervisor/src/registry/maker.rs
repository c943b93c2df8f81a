//! One component, from the layers that it is made of.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::Files;
use super::layers::Layers;
use super::problem::Place;
use super::reading::Reading;
use super::structure::{Node, Value};
use super::{checks, environment_file, logs, restarts, steps};
use crate::spec::{Environment, Output, ProcessSpec, Resource, ResourceLimit, Variable};

/// The supervisor's own log, beside which components write theirs.
pub(super) struct OwnLog<'a> {
    pub(super) path: &'a Path,
    pub(super) days: u32,
}

/// What a file of variables holds, by name.
pub(super) type Variables = Rc<[(Rc<str>, Rc<str>)]>;

/// Fills in one component.
pub(super) struct Maker<'a, 'b> {
    pub(super) reading: Reading<'a>,
    pub(super) files: &'a mut Files,
    pub(super) environment_files: &'a mut HashMap<PathBuf, Variables>,
    pub(super) layers: &'a Layers<'b>,
}

impl Maker<'_, '_> {
    pub(super) fn process(&mut self, spec: &mut ProcessSpec, server: &Node) {
        if let Some(description) = self.layers.value("description").and_then(|value| self.reading.text(value))
        {
            spec.description = description.as_ref().into();
        }
        match self.layers.value("executable") {
            Some(value) => {
                if let Some(executable) = self.reading.program(value) {
                    spec.executable = executable;
                }
            }
            None if self.reading.problems.is_incomplete() => {}
            None => {
                let message = "there is no <executable>, neither in the server nor in its profiles";
                self.reading.problems.add(server.place, message);
            }
        }
        for list in ["arguments", "trailingArguments"] {
            for argument in self.layers.list(list).filter_map(|argument| argument.value.as_ref()) {
                if let Some(argument) = self.reading.text(argument) {
                    spec.arguments.push(argument.as_ref().into());
                }
            }
        }
        let folder = self.layers.value("workingDirectory").map(|value| self.reading.path(value));
        spec.working_directory = folder.unwrap_or_else(|| Some(self.reading.install_folder.to_owned()));
    }

    pub(super) fn attributes(&mut self, spec: &mut ProcessSpec) {
        let Self { reading, layers, .. } = self;
        spec.user =
            layers.value("user").and_then(|value| reading.text(value)).map(|text| text.as_ref().into());
        spec.group =
            layers.value("group").and_then(|value| reading.text(value)).map(|text| text.as_ref().into());
        spec.umask = layers.value("umask").and_then(|value| reading.octal(value));
        spec.nice = layers.value("nice").and_then(|value| reading.number(value));
        for limit in layers.list("limits") {
            if let Some(limit) = limit_of(limit, reading) {
                spec.limits.retain(|other| other.resource != limit.resource);
                spec.limits.push(limit);
            }
        }
    }

    pub(super) fn life(&mut self, spec: &mut ProcessSpec) {
        let Self { reading, layers, .. } = self;
        if let Some(priority) = layers.value("startPriority").and_then(|value| reading.number(value)) {
            spec.start_priority = priority;
        }
        if let Some(delay) = layers.value("startDelay").and_then(|value| reading.duration(value)) {
            spec.start_delay = delay;
        }
        if let Some(autostart) = layers.value("autostart").and_then(|value| reading.boolean(value)) {
            spec.autostart = autostart;
        }
        if let Some(essential) = layers.value("essential").and_then(|value| reading.boolean(value)) {
            spec.essential = essential;
        }
        restarts::read(spec, layers, reading);
        checks::read(spec, layers, reading);
        steps::read(spec, layers, reading);
        if let Some(timeout) = layers.value("stopTimeout") {
            spec.stop_timeout = reading.duration(timeout).unwrap_or(spec.stop_timeout);
        } else if !spec.stop.is_empty() {
            spec.stop_timeout = steps::limit(&spec.stop);
        }
    }

    pub(super) fn environment(&mut self) -> Environment {
        let clear = self.layers.attribute("environment", "clear");
        let clear = clear.and_then(|value| self.reading.boolean(value)).unwrap_or(false);
        let mut variables = Vec::new();
        for node in self.layers.list("environment") {
            let Some(value) = &node.value else { continue };
            let marked = node.attribute("secret").map(|secret| self.reading.boolean(secret));
            // What is not clearly said to be none is treated as a secret.
            let marked = marked.is_some_and(|secret| secret != Some(false));
            if node.rule.name == "file" {
                self.add_environment_file(value, marked, &mut variables);
                continue;
            }
            let name = node.attribute("name").and_then(|name| self.reading.text(name));
            if let (Some(name), Some((text, secret))) = (name, self.reading.secret_text(value)) {
                let secret = marked || secret.is_some();
                variables.push(Variable { name: name.as_ref().into(), value: text.as_ref().into(), secret });
            }
        }
        Environment { clear, variables }
    }

    fn add_environment_file(&mut self, value: &Value, secret: bool, variables: &mut Vec<Variable>) {
        let Some(path) = self.reading.path(value) else { return };
        let read = match self.environment_files.get(&path) {
            Some(read) => read.clone(),
            None => {
                let read: Variables = match self.files.read(&path, self.reading.problems) {
                    Ok(file) => environment_file::read(file, self.reading.problems).into(),
                    Err(why) => {
                        let message = format!("cannot read {}: {why}", path.display());
                        self.reading.problems.add(value.place, message);
                        Rc::new([])
                    }
                };
                self.environment_files.insert(path, read.clone());
                read
            }
        };
        for (name, text) in read.iter() {
            let cost = name.len() + text.len();
            if self.reading.settings.spend(cost, value.place, self.reading.problems).is_err() {
                return;
            }
            variables.push(Variable { name: name.as_ref().into(), value: text.as_ref().into(), secret });
        }
    }

    /// Where the output goes, and which place of the registry says so.
    pub(super) fn output(&mut self, id: &str, own_log: &OwnLog<'_>, server: Place) -> (Output, Place) {
        let (output, file) = logs::read(id, own_log, self.layers, &mut self.reading);
        (output, file.map_or(server, |file| file.place))
    }
}

fn limit_of(limit: &Node, reading: &mut Reading<'_>) -> Option<ResourceLimit> {
    let name = reading.text(limit.attribute("name")?)?;
    let resource = Resource::ALL.into_iter().find(|resource| resource.name() == &*name)?;
    let soft = limit.attribute("soft").map(|value| reading.amount(value));
    let hard = limit.attribute("hard").map(|value| reading.amount(value));
    let (soft, hard) = match (soft, hard) {
        (Some(soft), Some(hard)) => (soft?, hard?),
        // One stands for both, as in `ulimit`.
        (Some(one), None) | (None, Some(one)) => (one?, one?),
        (None, None) => {
            reading.problems.add(limit.place, "<limit> must have the attribute soft or hard, or both");
            return None;
        }
    };
    // No limit at all is the highest.
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        let message = format!("the soft limit of {name} must not be higher than the hard one");
        reading.problems.add(limit.place, message);
        return None;
    }
    Some(ResourceLimit { resource, soft, hard })
}
