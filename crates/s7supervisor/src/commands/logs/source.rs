//! Which logs are meant, and where they are.

use supervisor::registry;
use supervisor::{LineForm, LogSettings, Output, ProcessSpec, Stderr};
use supervisor_control::wire::LogDocument;

use super::line::Writer;
use crate::arguments::Place;
use crate::exit::Failure;
use crate::naming::choose;
use crate::own_log;

/// A log that is shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    /// Who writes it.
    pub(super) writer: Writer,
    /// Where it is.
    pub(super) settings: LogSettings,
}

impl Source {
    /// What it is called.
    pub(super) fn name(&self) -> &str {
        match &self.writer {
            Writer::Supervisor => "the supervisor",
            Writer::Component { id, .. } => id,
        }
    }
}

/// The logs of the components that these names mean, in the order of the registry; without names, the supervisor's own.
pub(super) fn meant(place: &Place, names: &[String], stderr: bool) -> Result<Vec<Source>, Failure> {
    if names.is_empty() {
        // Where a registry cannot be loaded any more, the log is just what one wants to see.
        let path = registry::lenient_log(&place.find_registry(None)?, &place.options());
        return Ok(vec![own(own_log::settings(&path, None))]);
    }
    let registry = place.load(None)?;
    let specs = choose(&registry.components, names)?;
    let sources: Vec<_> = specs.iter().filter_map(|spec| of(spec, stderr)).collect();
    if sources.is_empty() {
        let ids = specs.iter().map(|spec| spec.id.as_str()).collect::<Vec<_>>().join(", ");
        let message = if stderr {
            format!("there is no file of standard error alone of {ids}; leave out --stderr")
        } else {
            format!("there is no log of {ids}")
        };
        return Err(Failure::failed(message));
    }
    Ok(sources)
}

/// The logs of all that these components write.
pub(super) fn all(specs: &[ProcessSpec]) -> impl Iterator<Item = Source> {
    specs.iter().flat_map(|spec| [false, true].into_iter().filter_map(|stderr| of(spec, stderr)))
}

/// The log that the supervisor says a component has.
pub(super) fn told(id: &str, log: &LogDocument) -> Source {
    let form = match log.form.as_str() {
        "timestamps" => LineForm::Timestamps,
        "json" => LineForm::Json,
        _ => LineForm::Raw,
    };
    let settings = LogSettings { dated: log.dated, form, ..LogSettings::new(&log.path) };
    let stream = if log.stderr == "join" { None } else { Some("stdout") };
    Source { writer: Writer::Component { id: id.to_owned(), stream, form }, settings }
}

/// The supervisor's own log.
pub(super) fn own(settings: LogSettings) -> Source {
    Source { writer: Writer::Supervisor, settings }
}

/// The log of its output, or of its standard error where that has files of its own.
fn of(spec: &ProcessSpec, stderr: bool) -> Option<Source> {
    let Output::File { log, stderr: place } = &spec.output else { return None };
    let (settings, stream) = match (place, stderr) {
        (Stderr::File, true) => (log.of_stderr(), Some("stderr")),
        (_, true) => return None,
        (Stderr::Join, false) => (log.clone(), None),
        (Stderr::File | Stderr::Null, false) => (log.clone(), Some("stdout")),
    };
    let writer = Writer::Component { id: spec.id.to_string(), stream, form: settings.form };
    Some(Source { writer, settings })
}
