//! Servers -> [`ProcessSpec`]s: each server with its profiles, once for each of its instances.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::environment_file;
use super::files::Files;
use super::outputs::Outputs;
use super::problem::{Place, quoted};
use super::profiles::Profiles;
use super::reading::Reading;
use super::settings::Component;
use super::structure::{Node, Value};
use crate::output::LogSettings;
use crate::policy::{Backoff, Never, OnFailure, RestartPolicy};
use crate::spec::{ComponentId, Environment, Output, ProcessSpec, Resource, ResourceLimit, Stderr, Variable};

/// How many components a registry may have.
const MAX_COMPONENTS: usize = 10_000;
/// How many files that were ended for their size are kept, if nobody says.
const DEFAULT_KEEP: u32 = 10;

/// The supervisor's own log, beside which components write theirs.
pub(super) struct OwnLog<'a> {
    pub(super) path: &'a Path,
    pub(super) days: u32,
}

/// Makes the components of a registry.
pub(super) struct Components<'a, 'b> {
    pub(super) reading: Reading<'a>,
    pub(super) files: &'a mut Files,
    pub(super) profiles: &'a Profiles<'b>,
    pub(super) own_log: OwnLog<'a>,
    ids: HashMap<String, Place>,
    environment_files: HashMap<PathBuf, Variables>,
    outputs: Outputs,
    made: Vec<ProcessSpec>,
}

type Variables = Rc<[(Rc<str>, Rc<str>)]>;

impl<'a, 'b> Components<'a, 'b> {
    pub(super) fn new(
        reading: Reading<'a>,
        files: &'a mut Files,
        profiles: &'a Profiles<'b>,
        own_log: OwnLog<'a>,
    ) -> Self {
        let outputs = Outputs::beside(own_log.path);
        Self {
            reading,
            files,
            profiles,
            own_log,
            ids: HashMap::new(),
            environment_files: HashMap::new(),
            outputs,
            made: Vec::new(),
        }
    }

    /// The components of these files, in their order.
    pub(super) fn make(mut self, roots: impl Iterator<Item = &'b Node>) -> Vec<ProcessSpec> {
        for server in roots.flat_map(|root| root.all("servers")).flat_map(|servers| servers.all("server")) {
            if self.reading.settings.is_spent() || !self.add_server(server) {
                break;
            }
        }
        // Only now is every file known: environment files are read with the components.
        self.outputs.check_files(&self.files.paths(), self.reading.problems);
        self.made
    }

    /// Adds a server with all its instances. False if there are too many.
    fn add_server(&mut self, server: &'b Node) -> bool {
        let Ok(layers) = self.profiles.layers(server, &mut self.reading) else { return true };
        let layers = Layers(layers);
        let instances = layers.value("instances").map_or(Some(1), |value| self.reading.number(value));
        let id = server.attribute("id");
        let Some((id, place)) = id.and_then(|id| Some((self.reading.text(id)?, id.place))) else {
            return true;
        };
        // The name of all instances is taken too: requests for it mean them.
        self.claim_id(&id, place);
        let Some(instances) = instances else { return true };
        for instance in 1..=instances {
            if self.made.len() >= MAX_COMPONENTS {
                let message = format!("the registry has more than {MAX_COMPONENTS} components");
                self.reading.problems.add(place, message);
                return false;
            }
            let Some(made) = self.make_instance(&layers, server, (&id, place), instance, instances) else {
                // The others would only have the same problems.
                break;
            };
            self.made.push(made);
        }
        true
    }

    fn claim_id(&mut self, id: &str, place: Place) {
        if let Some(first) = self.ids.insert(id.to_ascii_lowercase(), place) {
            let first = self.reading.problems.position(first);
            let message =
                format!("the id {} is also used at {first}; ids must differ in more than case", quoted(id));
            self.reading.problems.add(place, message);
        }
        let log = self.own_log.path.file_stem().and_then(|stem| stem.to_str());
        if log.is_some_and(|log| log.eq_ignore_ascii_case(id)) {
            let message = format!("the id {} is the name of the supervisor's own log", quoted(id));
            self.reading.problems.add(place, message);
        }
    }

    fn make_instance(
        &mut self,
        layers: &Layers<'b>,
        server: &Node,
        (name, place): (&str, Place),
        instance: u32,
        instances: u32,
    ) -> Option<ProcessSpec> {
        let id = if instances == 1 { name.to_owned() } else { format!("{name}-{instance}") };
        let mut spec = match ProcessSpec::new(&id, "") {
            Ok(spec) => spec,
            Err(error) => {
                self.reading.problems.add(place, error.to_string());
                return None;
            }
        };
        if instances > 1 {
            self.claim_id(&id, place);
            spec.instance_of = ComponentId::new(name).ok();
        }
        let before = self.reading.problems.count();
        let component = Component { id: &id, instance };
        // The component's own reading: its id must not outlive it.
        let mut maker = Maker {
            reading: Reading {
                settings: self.reading.settings,
                problems: self.reading.problems,
                install_folder: self.reading.install_folder,
                component: Some(component),
            },
            files: self.files,
            environment_files: &mut self.environment_files,
            layers,
        };
        maker.process(&mut spec, server);
        maker.attributes(&mut spec);
        maker.life(&mut spec);
        maker.restart(&mut spec);
        spec.environment = maker.environment();
        let (output, output_place) = maker.output(&id, &self.own_log, place);
        self.outputs.claim(&output, &id, instances > 1, output_place, self.reading.problems);
        spec.output = output;
        (self.reading.problems.count() == before).then_some(spec)
    }
}

/// What a server is made of, the weakest first.
struct Layers<'b>(Vec<&'b Node>);

impl<'b> Layers<'b> {
    /// The value of an element that stands only once: that of the strongest layer that has it.
    fn value(&self, name: &str) -> Option<&'b Value> {
        self.0.iter().rev().find_map(|layer| layer.child(name)?.value.as_ref())
    }

    /// An attribute of an element that stands only once: that of the strongest layer that has it.
    fn attribute(&self, element: &str, attribute: &str) -> Option<&'b Value> {
        self.0.iter().rev().find_map(|layer| layer.child(element)?.attribute(attribute))
    }

    /// What a list holds in all layers, in order.
    fn list(&self, name: &'static str) -> impl Iterator<Item = &'b Node> {
        self.0.iter().filter_map(move |layer| layer.child(name)).flat_map(|list| &list.children)
    }
}

/// Fills in one component.
struct Maker<'a, 'b> {
    reading: Reading<'a>,
    files: &'a mut Files,
    environment_files: &'a mut HashMap<PathBuf, Variables>,
    layers: &'a Layers<'b>,
}

impl Maker<'_, '_> {
    fn process(&mut self, spec: &mut ProcessSpec, server: &Node) {
        if let Some(description) = self.layers.value("description").and_then(|value| self.reading.text(value))
        {
            spec.description = description.as_ref().into();
        }
        match self.layers.value("executable") {
            Some(value) => {
                if let Some(executable) = self.reading.text(value) {
                    spec.executable = self.executable(&executable);
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

    /// A bare name is looked up in `PATH`; a path with folders is relative to the install folder.
    fn executable(&self, text: &str) -> PathBuf {
        let is_bare = !text.contains(std::path::is_separator);
        if is_bare { text.into() } else { self.reading.install_folder.join(text) }
    }

    fn attributes(&mut self, spec: &mut ProcessSpec) {
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

    fn life(&mut self, spec: &mut ProcessSpec) {
        let Self { reading, layers, .. } = self;
        if let Some(priority) = layers.value("startPriority").and_then(|value| reading.number(value)) {
            spec.start_priority = priority;
        }
        if let Some(delay) = layers.value("startDelay").and_then(|value| reading.duration(value)) {
            spec.start_delay = delay;
        }
        if let Some(timeout) = layers.value("stopTimeout").and_then(|value| reading.duration(value)) {
            spec.stop_timeout = timeout;
        }
        if let Some(autostart) = layers.value("autostart").and_then(|value| reading.boolean(value)) {
            spec.autostart = autostart;
        }
    }

    fn restart(&mut self, spec: &mut ProcessSpec) {
        let Self { reading, layers, .. } = self;
        let attribute = |name| layers.attribute("restart", name);
        let mut backoff = Backoff::default();
        let (delay, max_delay) = (attribute("delay"), attribute("maxDelay"));
        if let Some(delay) = delay.and_then(|value| reading.duration(value)) {
            backoff.delay = delay;
            // Who asks for a long wait wants it, and the default must not cut it short.
            backoff.max_delay = backoff.max_delay.max(delay);
        }
        if let Some(max_delay) = max_delay.and_then(|value| reading.duration(value)) {
            backoff.max_delay = max_delay;
        }
        if let (Some(delay), Some(max_delay)) = (delay, max_delay)
            && backoff.delay > backoff.max_delay
            && !backoff.max_delay.is_zero()
        {
            let at = reading.problems.position(max_delay.place);
            let message = format!(
                "delay ({:?}) must not be longer than maxDelay ({:?}, {at})",
                backoff.delay, backoff.max_delay
            );
            reading.problems.add(delay.place, message);
        }
        if let Some(factor) = attribute("factor").and_then(|value| reading.decimal(value)) {
            backoff.factor = factor;
        }
        if let Some(jitter) = attribute("jitter").and_then(|value| reading.decimal(value)) {
            backoff.jitter = jitter;
        }
        if let Some(after) = attribute("resetAfter").and_then(|value| reading.duration(value)) {
            spec.reset_after = after;
        }
        let policy = attribute("policy").and_then(|value| reading.text(value));
        let policy: Arc<dyn RestartPolicy> = match policy.as_deref() {
            Some("never") => Arc::new(Never),
            Some("onFailure") => Arc::new(OnFailure(backoff)),
            _ => Arc::new(backoff),
        };
        spec.restart = policy;
    }

    fn environment(&mut self) -> Environment {
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
    fn output(&mut self, id: &str, own_log: &OwnLog<'_>, server: Place) -> (Output, Place) {
        let Self { reading, layers, .. } = self;
        let attribute = |name| layers.attribute("output", name);
        let file = attribute("file");
        let mut log = match file.and_then(|value| reading.path(value)) {
            Some(path) => LogSettings::new(path),
            None => {
                let mut log = LogSettings::new(own_log.path.with_file_name(format!("{id}.log")));
                log.dated = true;
                log.days = Some(own_log.days);
                log
            }
        };
        log.max_size = attribute("maxSize").and_then(|value| reading.size(value));
        log.keep = attribute("keep").and_then(|value| reading.number(value));
        if log.max_size.is_some() {
            log.keep = log.keep.or(Some(DEFAULT_KEEP));
        }
        log.compress = attribute("compress").and_then(|value| reading.boolean(value)).unwrap_or(false);
        let stderr = attribute("stderr").and_then(|value| reading.text(value));
        let stderr = match stderr.as_deref() {
            Some("file") => Stderr::File,
            Some("null") => Stderr::Null,
            _ => Stderr::Join,
        };
        (Output::File { log, stderr }, file.map_or(server, |file| file.place))
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
