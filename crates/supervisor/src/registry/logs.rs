//! `<output>`: where the output of a component goes, in which form, and what becomes of it there.

use super::layers::Layers;
use super::maker::OwnLog;
use super::reading::Reading;
use super::structure::Value;
use crate::output::{LineForm, LogSettings, WhenFull};
use crate::spec::{Output, Stderr};

/// How many files that were ended for their size are kept.
const DEFAULT_KEEP: u32 = 10;

/// Reads what `<output>` says of the component of this id, and what names the file, if anything does.
pub(super) fn read<'b>(
    id: &str,
    own_log: &OwnLog<'_>,
    layers: &Layers<'b>,
    reading: &mut Reading<'_>,
) -> (Output, Option<&'b Value>) {
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
    log.days = attribute("days").and_then(|value| reading.number(value)).or(log.days);
    log.max_total = attribute("maxTotal").and_then(|value| reading.size(value));
    log.min_free = attribute("minFree").and_then(|value| reading.size(value));
    log.compress = attribute("compress").and_then(|value| reading.boolean(value)).unwrap_or(false);
    log.form = form(layers, reading);
    log.when_full = when_full(layers, reading);
    let stderr = attribute("stderr").and_then(|value| reading.text(value));
    let stderr = match stderr.as_deref() {
        Some("file") => Stderr::File,
        Some("null") => Stderr::Null,
        _ => Stderr::Join,
    };
    (Output::File { log, stderr }, file)
}

fn form(layers: &Layers<'_>, reading: &mut Reading<'_>) -> LineForm {
    let timestamps = layers.attribute("output", "timestamps");
    let has_timestamps = timestamps.and_then(|value| reading.boolean(value)).unwrap_or(false);
    let format = layers.attribute("output", "format");
    let format = format.and_then(|value| Some((value, reading.text(value)?)));
    match format {
        Some((value, format)) if &*format == "json" => {
            if has_timestamps {
                let message = "format json has the time in it: leave out timestamps, or say false";
                reading.problems.add(value.place, message);
            }
            LineForm::Json
        }
        _ if has_timestamps => LineForm::Timestamps,
        _ => LineForm::Raw,
    }
}

fn when_full(layers: &Layers<'_>, reading: &mut Reading<'_>) -> WhenFull {
    let when_full = layers.attribute("output", "whenFull").and_then(|value| reading.text(value));
    let block_for = layers.attribute("output", "blockFor");
    let at_most = block_for.and_then(|value| reading.duration(value));
    if when_full.as_deref() == Some("drop") {
        if let Some(value) = block_for {
            reading.problems.add(value.place, "blockFor says nothing where whenFull is drop: leave it out");
        }
        return WhenFull::Drop;
    }
    // Nothing is no limit.
    at_most
        .map_or_else(WhenFull::default, |time| WhenFull::Block { at_most: (!time.is_zero()).then_some(time) })
}
