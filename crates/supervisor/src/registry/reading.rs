//! Value as it stands in the file -> value that means something: settings put in, kind checked, no secret leaked.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::problem::Problems;
use super::settings::{Component, Settings};
use super::structure::{Node, Value};
use super::values::{self, Kind};
use crate::signal::Signal;

/// Reads values, and tells what is wrong with them. `None` always means that something has been told.
pub(super) struct Reading<'a> {
    pub(super) settings: &'a mut Settings,
    pub(super) problems: &'a mut Problems,
    pub(super) install_folder: &'a Path,
    /// The component that the values belong to.
    pub(super) component: Option<Component<'a>>,
}

impl Reading<'_> {
    /// The text, which is of its kind and holds no secret.
    pub(super) fn text(&mut self, value: &Value) -> Option<Rc<str>> {
        let (text, secret) = self.secret_text(value)?;
        if let Some(secret) = secret {
            let message = format!(
                "{} must not contain {secret}, which is a secret: only a <variable> and a <setting> may",
                value.name
            );
            self.problems.add(value.place, message);
            return None;
        }
        self.check(value, &text)
    }

    /// The text, which may hold a secret: then with the name of the setting that it comes from.
    pub(super) fn secret_text(&mut self, value: &Value) -> Option<(Rc<str>, Option<Rc<str>>)> {
        let expanded = self.settings.expand(value, self.component, self.problems).ok()?;
        Some((expanded.text, expanded.secret))
    }

    fn check(&mut self, value: &Value, text: &Rc<str>) -> Option<Rc<str>> {
        match value.kind.check(text) {
            Ok(()) => Some(text.clone()),
            Err(_) if value.secret => {
                let message = format!(
                    "{} has a wrong value, which is not shown because it seems to be a secret",
                    value.name
                );
                self.problems.add(value.place, message);
                None
            }
            Err(problem) => {
                self.problems.add(value.place, format!("{} {problem}", value.name));
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, value: &Value) -> Option<bool> {
        values::boolean(&self.text(value)?).ok()
    }

    /// A number, whose range its kind gives.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, value: &Value) -> Option<T> {
        let number = values::number(&self.text(value)?, i64::MIN, i64::MAX).ok()?;
        T::try_from(number).ok()
    }

    pub(super) fn octal(&mut self, value: &Value) -> Option<u32> {
        values::octal(&self.text(value)?).ok()
    }

    /// A number with decimals, whose range its kind gives.
    pub(super) fn decimal(&mut self, value: &Value) -> Option<f64> {
        values::decimal(&self.text(value)?, u32::MIN, u32::MAX).ok()
    }

    pub(super) fn duration(&mut self, value: &Value) -> Option<Duration> {
        values::duration(&self.text(value)?).ok()
    }

    pub(super) fn interval(&mut self, value: &Value) -> Option<Duration> {
        values::interval(&self.text(value)?).ok()
    }

    pub(super) fn size(&mut self, value: &Value) -> Option<u64> {
        values::size(&self.text(value)?).ok()
    }

    pub(super) fn amount(&mut self, value: &Value) -> Option<Option<u64>> {
        values::amount(&self.text(value)?).ok()
    }

    pub(super) fn signal(&mut self, value: &Value) -> Option<Signal> {
        values::signal(&self.text(value)?).ok()
    }

    pub(super) fn http_status(&mut self, value: &Value) -> Option<RangeInclusive<u16>> {
        values::http_status(&self.text(value)?).ok()
    }

    /// A program: a bare name is looked up in `PATH`, a path with folders is relative to the install folder.
    pub(super) fn program(&mut self, value: &Value) -> Option<PathBuf> {
        let text = self.text(value)?;
        let is_bare = !text.contains(std::path::is_separator);
        Some(if is_bare { PathBuf::from(&*text) } else { self.install_folder.join(&*text) })
    }

    /// A path; a relative one is relative to the install folder.
    pub(super) fn path(&mut self, value: &Value) -> Option<PathBuf> {
        let text = self.text(value)?;
        Some(self.install_folder.join(&*text))
    }

    /// Checks every value of a file, also of what is overridden and of profiles that nobody uses.
    pub(super) fn check_all(&mut self, node: &Node) {
        self.check_node(node, false);
    }

    fn check_node(&mut self, node: &Node, in_component: bool) {
        let name = node.rule.name;
        // Their values decide which components there are, so that no component is known to them.
        let is_known = in_component && !matches!(name, "profile" | "instances");
        for attribute in &node.attributes {
            self.check_value(attribute, is_known);
        }
        if let Some(value) = &node.value {
            self.check_value(value, is_known);
        }
        let in_component = in_component || matches!(name, "profile" | "server");
        for child in &node.children {
            self.check_node(child, in_component);
        }
    }

    fn check_value(&mut self, value: &Value, in_component: bool) {
        if self.settings.is_spent() || value.kind == Kind::SettingName {
            return;
        }
        let any = Component { id: "component", instance: 1 };
        self.component = in_component.then_some(any);
        let depends_on_component = in_component
            && ["SV::id", "SV::instance", "SV::{id", "SV::{instance"]
                .iter()
                .any(|name| value.text.contains(name));
        if depends_on_component || matches!(value.name, "setting" | "variable") {
            // The rest can be known only where it is used.
            self.secret_text(value);
        } else {
            self.text(value);
        }
        self.component = None;
    }
}
