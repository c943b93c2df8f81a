//! Putting the values of settings where `SV::Name` stands.

use super::super::problem::{Place, Problems, Span, Told, plain};
use super::super::structure::{Value, similar};
use super::super::xml::{MAX_DEPTH, MAX_VALUE};
use super::{Component, Definition, Expanded, MAX_DAYS, Settings, is_name, is_name_character, long_name};

/// How many bytes all values of a registry may have together once their settings are put in: few words in a file can
/// ask for any number of bytes.
pub(super) const MAX_ALL_VALUES: usize = 256 * 1024 * 1024;
const TOO_LONG: &str = "the value is longer than 64 KiB once its settings are put in";
/// What a value costs beside its text.
const COST_OF_A_VALUE: usize = 64;

impl Settings {
    /// Puts the settings into a value.
    ///
    /// # Errors
    /// [`Told`] if that cannot be done, which has been told.
    pub(in super::super) fn expand(
        &mut self,
        value: &Value,
        component: Option<Component<'_>>,
        problems: &mut Problems,
    ) -> Result<Expanded, Told> {
        if value.broken {
            return Err(Told);
        }
        let mut expanded = String::new();
        let mut secret = None;
        let mut rest = &*value.text;
        while let Some(start) = rest.find("SV::") {
            let at = value.text.len() - rest.len() + start;
            expanded.push_str(&rest[..start]);
            let reference = Reference::read(&rest[start..])
                .map_err(|problem| problems.add(within(value, at, "SV::".len(), problems), problem))?;
            let part = self.look_up(&reference, value, at, component, problems)?;
            self.spend(part.text.len(), value.place, problems)?;
            expanded.push_str(&part.text);
            if expanded.len() > MAX_VALUE {
                return Err(problems.add(value.place, TOO_LONG));
            }
            secret = part.secret.or(secret);
            rest = &rest[start + reference.length..];
        }
        expanded.push_str(rest);
        if expanded.len() > MAX_VALUE {
            return Err(problems.add(value.place, TOO_LONG));
        }
        self.spend(rest.len() + COST_OF_A_VALUE, value.place, problems)?;
        Ok(Expanded { text: expanded.into(), secret })
    }

    /// Counts what a value costs in memory.
    ///
    /// # Errors
    /// [`Told`] if all values together are too much.
    pub(in super::super) fn spend(
        &mut self,
        bytes: usize,
        place: Place,
        problems: &mut Problems,
    ) -> Result<(), Told> {
        let had_some = !self.is_spent();
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return Ok(());
        }
        self.left = 0;
        if had_some {
            let message = "all values of the registry together, settings and profiles put in, exceed 256 MiB";
            problems.add(place, message);
        }
        Err(Told)
    }

    /// Whether no further value can be had.
    pub(in super::super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn look_up(
        &mut self,
        reference: &Reference<'_>,
        value: &Value,
        at: usize,
        component: Option<Component<'_>>,
        problems: &mut Problems,
    ) -> Result<Expanded, Told> {
        let literal = |text: &str| Ok(Expanded { text: text.into(), secret: None });
        match (reference.name, component) {
            ("SV", _) => literal("SV::"),
            ("id", Some(component)) => literal(component.id),
            ("instance", Some(component)) => literal(&component.instance.to_string()),
            ("id" | "instance", None) => {
                let message = format!(
                    "SV::{} is known only inside a component, and there not in its id, its profiles and its instances",
                    reference.name
                );
                Err(problems.add(within(value, at, reference.length, problems), message))
            }
            (name, _) if self.definitions.contains_key(name) => {
                if !self.used.contains(name) {
                    self.used.insert(name.to_owned());
                }
                self.resolve(name, problems)
            }
            _ if value.secret => {
                // What looks like a name may be a part of the secret.
                let message =
                    "this secret refers to a setting that is not known; SV::SV stands for SV:: itself";
                Err(problems.add(value.place, message))
            }
            (name, _) => Err(self.unknown(name, within(value, at, reference.length, problems), problems)),
        }
    }

    /// The value of a setting that is defined.
    pub(super) fn resolve(&mut self, name: &str, problems: &mut Problems) -> Result<Expanded, Told> {
        if let Some(resolved) = self.resolved.get(name) {
            return resolved.clone();
        }
        let Some(definition) = self.definitions.get(name) else { return Err(Told) };
        let marks = definition.secret.clone();
        let written = match definition {
            Definition { outside: Some((literal, _)), .. } => Ok(literal.clone()),
            Definition { file: Some(file), .. } => Err(file.value.clone()),
            Definition { fallback: Some((literal, _)), .. } => Ok(literal.clone()),
            _ => return Err(Told),
        };
        if let Some(told) = self.refuse_circle(name, written.as_ref().err(), problems) {
            self.resolved.insert(name.to_owned(), Err(told));
            return Err(told);
        }
        self.path.push(name.to_owned());
        // Where the mark itself could not be read, what it was meant for is still a secret.
        let is_meant = marks.is_empty() && matches!(&written, Err(Some(value)) if value.secret);
        let resolved = match written {
            Ok(literal) => Ok(Expanded { text: literal, secret: None }),
            Err(Some(value)) => self.expand(&value, None, problems),
            Err(None) => Err(Told),
        };
        // What is not clearly said to be none is treated as one.
        let mut is_marked =
            |mark| self.expand(mark, None, problems).map_or(true, |mark| *mark.text != *"false");
        let is_secret = is_meant || marks.iter().any(&mut is_marked);
        let resolved = resolved.map(|expanded| match is_secret {
            true => Expanded { secret: Some(long_name(name).into()), ..expanded },
            false => expanded,
        });
        self.path.pop();
        // A circle is told where it is closed: whatever else is part of it has no value either.
        let resolved = self.resolved.get(name).cloned().unwrap_or(resolved);
        self.resolved.insert(name.to_owned(), resolved.clone());
        resolved
    }

    fn refuse_circle(
        &self,
        name: &str,
        value: Option<&Option<Value>>,
        problems: &mut Problems,
    ) -> Option<Told> {
        let message = if let Some(start) = self.path.iter().position(|other| other == name) {
            let names = self.path[start..].iter().map(|name| format!("SV::{name} -> ")).collect::<String>();
            format!("settings refer to each other in a circle: {names}SV::{name}")
        } else if self.path.len() >= MAX_DEPTH {
            format!("settings refer to each other deeper than {MAX_DEPTH}")
        } else {
            return None;
        };
        Some(value.and_then(Option::as_ref).map_or(Told, |value| problems.add(value.place, message)))
    }

    fn unknown(&mut self, name: &str, place: Place, problems: &mut Problems) -> Told {
        if problems.is_incomplete() || problems.is_full() || !self.told_unknown.insert(place) {
            return Told;
        }
        const MOST_LISTED: usize = 20;
        let known: Vec<&str> = self.known_names().collect();
        let mut list =
            known.iter().take(MOST_LISTED).map(|name| long_name(name)).collect::<Vec<_>>().join(", ");
        if known.len() > MOST_LISTED {
            list.push_str(&format!(" and {} more", known.len() - MOST_LISTED));
        }
        let suggestion = match self.beginning_of(name) {
            Some(known) => format!("; write SV::{{{known}}} where text follows it"),
            None => self.suggestion(name),
        };
        let message = format!("the setting SV::{} is not known{suggestion}; known are {list}", plain(name));
        problems.add(place, message)
    }

    fn known_names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str).filter(|name| *name != MAX_DAYS)
    }

    /// The known name with which an unknown one begins: `Heap` of `HeapSize`.
    fn beginning_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        const LONGEST: usize = 200;
        (1..name.len().min(LONGEST))
            .rev()
            .map(|end| &name[..end])
            .find(|start| self.definitions.contains_key(*start))
    }

    pub(super) fn suggestion(&self, name: &str) -> String {
        const MOST_COMPARED: usize = 1_000;
        let known: Vec<&str> =
            self.known_names().filter(|known| *known != name).take(MOST_COMPARED).collect();
        similar(name, &known).map(|name| format!("; did you mean SV::{name}?")).unwrap_or_default()
    }
}

/// `SV::Name` or `SV::{Name}` at the beginning of a text.
struct Reference<'a> {
    name: &'a str,
    /// The length of all of it.
    length: usize,
}

impl<'a> Reference<'a> {
    fn read(text: &'a str) -> Result<Self, &'static str> {
        let after = &text["SV::".len()..];
        let (name, length) = match after.strip_prefix('{') {
            Some(braced) => {
                let end = braced.find('}').ok_or("SV::{ is not closed by }")?;
                (&braced[..end], "SV::{}".len() + end)
            }
            None => {
                let end = after.find(|c| !is_name_character(c)).unwrap_or(after.len());
                (&after[..end], "SV::".len() + end)
            }
        };
        if !is_name(name) {
            return Err("SV:: must be followed by the name of a setting; SV::SV stands for SV:: itself");
        }
        Ok(Self { name, length })
    }
}

/// The place of a part of a value; of all of it, where entities keep the two from being the same text.
fn within(value: &Value, at: usize, length: usize, problems: &Problems) -> Place {
    let Place { file, span } = value.place;
    let written = problems.text(file);
    if written.get(span.start as usize..span.end as usize) != Some(&*value.text) {
        return value.place;
    }
    let start = span.start as usize + at;
    Place { file, span: Span::new(start, start + length) }
}
