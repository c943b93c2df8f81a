//! Servers -> [`ProcessSpec`]s: each server with its profiles, once for each of its instances.

use std::collections::HashMap;
use std::path::PathBuf;

use super::files::Files;
use super::layers::Layers;
use super::maker::{Maker, OwnLog, Variables};
use super::outputs::Outputs;
use super::problem::{Place, quoted};
use super::profiles::Profiles;
use super::reading::Reading;
use super::relations::{self, Places};
use super::settings::Component;
use super::structure::Node;
use crate::spec::{ComponentId, ProcessSpec};

/// How many components a registry may have.
const MAX_COMPONENTS: usize = 10_000;

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
    /// Where the relations of each of those that are made stand.
    places: Vec<Places>,
    /// The names of servers of which not every instance is made; empty, where the name is not known.
    left_out: Vec<String>,
}

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
            places: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// The components of these files, in their order.
    pub(super) fn make(mut self, roots: impl Iterator<Item = &'b Node>) -> Vec<ProcessSpec> {
        let mut servers =
            roots.flat_map(|root| root.all("servers")).flat_map(|servers| servers.all("server"));
        if servers.all(|server| !self.reading.settings.is_spent() && self.add_server(server)) {
            let is_left_out = |id: &ComponentId| self.left_out.iter().any(|name| may_be_of(id, name));
            relations::tell_wrong(&self.made, &self.places, is_left_out, self.reading.problems);
        }
        // Only now is every file known: environment files are read with the components.
        self.outputs.check_files(&self.files.paths(), self.reading.problems);
        self.made
    }

    /// Adds a server with all its instances. False if there are too many.
    fn add_server(&mut self, server: &'b Node) -> bool {
        let layers = self.profiles.layers(server, &mut self.reading).map(Layers).ok();
        let id = server.attribute("id");
        let Some((id, place)) = id.and_then(|id| Some((self.reading.text(id)?, id.place))) else {
            // Somebody may depend on it by the name that it should have: any name.
            self.left_out.push(String::new());
            return true;
        };
        // The name of all instances is taken too: requests for it mean them.
        self.claim_id(&id, place);
        let instances = layers.as_ref().and_then(|layers| match layers.value("instances") {
            Some(value) => self.reading.number(value),
            None => Some(1),
        });
        let (Some(layers), Some(instances)) = (layers, instances) else {
            self.left_out.push(id.as_ref().into());
            return true;
        };
        for instance in 1..=instances {
            if self.made.len() >= MAX_COMPONENTS {
                let message = format!("the registry has more than {MAX_COMPONENTS} components");
                self.reading.problems.add(place, message);
                return false;
            }
            if !self.make_instance(&layers, server, (&id, place), instance, instances) {
                // The others would only have the same problems.
                self.left_out.push(id.as_ref().into());
                break;
            }
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

    /// Makes one component. False if something is wrong with it, which has been told.
    fn make_instance(
        &mut self,
        layers: &Layers<'b>,
        server: &Node,
        (name, place): (&str, Place),
        instance: u32,
        instances: u32,
    ) -> bool {
        let id = if instances == 1 { name.to_owned() } else { format!("{name}-{instance}") };
        let mut spec = match ProcessSpec::new(&id, "") {
            Ok(spec) => spec,
            Err(error) => {
                self.reading.problems.add(place, error.to_string());
                return false;
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
        let places = relations::read(&mut spec, layers, &mut maker.reading);
        spec.environment = maker.environment();
        let (output, output_place) = maker.output(&id, &self.own_log, place);
        self.outputs.claim(&output, &id, instances > 1, output_place, self.reading.problems);
        spec.output = output;
        self.made.push(spec);
        self.places.push(places);
        self.reading.problems.count() == before
    }
}

/// Whether an id may be this name, or that of an instance of it: `web`, `web-2`. A name that is not known may be any.
fn may_be_of(id: &ComponentId, name: &str) -> bool {
    let rest = id.as_str().strip_prefix(name);
    rest.is_some_and(|rest| name.is_empty() || rest.is_empty() || rest.starts_with('-'))
}
