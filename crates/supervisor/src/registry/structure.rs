//! A tree of elements -> a tree that follows the grammar: parse, do not validate.
//!
//! What is unknown, repeated, misplaced or not supported yet is told and left out, so that whoever reads a [`Node`]
//! finds only elements and attributes of [`super::grammar`], each with its value as text.

use super::grammar::{self, AttributeRule, Content, ElementRule};
use super::problem::{FileId, Place, Problems, Span, plain};
use super::values::{Kind, one_of};
use super::xml::{self, Element, Text};

/// An element of the grammar.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) rule: &'static ElementRule,
    /// Where its name stands.
    pub(super) place: Place,
    pub(super) attributes: Vec<Value>,
    pub(super) children: Vec<Node>,
    /// Its text, if it is one that holds a value.
    pub(super) value: Option<Value>,
}

/// A value as it stands in the file: its settings are not put in yet.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// The name of the attribute, or of the element whose text it is.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) text: Box<str>,
    pub(super) place: Place,
    /// It could not be read, which has been told.
    pub(super) broken: bool,
    /// Nothing of it may be shown.
    pub(super) secret: bool,
}

impl Node {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.rule.name == name)
    }

    /// Every child of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.rule.name == name)
    }

    /// The attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// What the root of a file may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The registry itself.
    Registry,
    /// A file that it includes.
    Included,
}

/// Checks a whole file. `None` if its root is not that of a registry.
pub(super) fn check(root: Element, role: Role, file: FileId, problems: &mut Problems) -> Option<Node> {
    let rule = &grammar::SUPERVISOR;
    if *root.name != *rule.name {
        let message = format!("the root element must be <supervisor>, not <{}>", plain(&root.name));
        problems.add(Place { file, span: root.name_span }, message);
        problems.set_incomplete();
        return None;
    }
    let mut checker = Checker { file, problems };
    let root = checker.without_schema_location(root);
    let mut node = checker.node(root, rule);
    if role == Role::Included {
        for config in node.all("config") {
            let message = "<config> may stand only in the registry itself, not in a file that it includes";
            problems.add(config.place, message);
        }
        node.children.retain(|child| child.rule.name != "config");
    }
    Some(node)
}

struct Checker<'a> {
    file: FileId,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn node(&mut self, element: Element, rule: &'static ElementRule) -> Node {
        self.name_part(&element);
        let Element { name_span, attributes, broken_tag, children, may_be_secret, text, cdata, .. } = element;
        let place = self.place(name_span);
        let has_children = !children.is_empty();
        if rule.filled && !has_children {
            self.problems.add(place, format!("<{}> is empty: it must hold {}", rule.name, listed(rule)));
        }
        let attributes = self.attributes(rule, attributes, broken_tag, place);
        let children = self.children(rule, children);
        let value = match rule.content {
            Content::Value(kind) => {
                let value = self.value(rule, kind, text, has_children, place);
                value.map(|value| Value { secret: may_be_secret, ..value })
            }
            Content::Nothing | Content::Elements(_) | Content::OneOf(_) => {
                if let Some(span) = text.map(|text| text.span).or(cdata) {
                    self.problems.add(
                        self.place(span),
                        format!("no text may stand in <{}>{}", rule.name, holds(rule)),
                    );
                }
                None
            }
        };
        Node { rule, place, attributes, children, value }
    }

    /// Lets every problem in a server or profile begin with its id.
    fn name_part(&mut self, element: &Element) {
        if !matches!(&*element.name, "server" | "profile") {
            return;
        }
        if let Some(id) = element.attributes.iter().find(|attribute| *attribute.name == *"id") {
            let name = format!("{} \"{}\"", element.name, plain(&id.value.value));
            self.problems.name_part(self.place(element.span), name);
        }
    }

    fn attributes(
        &mut self,
        rule: &'static ElementRule,
        attributes: Vec<xml::Attribute>,
        broken_tag: bool,
        element: Place,
    ) -> Vec<Value> {
        let mut known: Vec<Value> = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let place = self.place(attribute.name_span);
            let Some(found) = rule.attributes.iter().find(|rule| *rule.name == *attribute.name) else {
                self.problems.add_with(place, || unknown_attribute(&attribute.name, rule));
                continue;
            };
            known.push(self.attribute(found, attribute));
        }
        for missing in rule.attributes.iter().filter(|rule| rule.required && !broken_tag) {
            if !known.iter().any(|attribute| attribute.name == missing.name) {
                let message = format!("<{}> must have the attribute {}", rule.name, missing.name);
                self.problems.add(element, message);
            }
        }
        known
    }

    fn attribute(&mut self, rule: &'static AttributeRule, attribute: xml::Attribute) -> Value {
        let Text { value: text, span, broken } = attribute.value;
        let is_empty = text.trim_matches(xml::is_white_space).is_empty() && !broken;
        if is_empty {
            let message = format!("the attribute {} is empty: give it a value, or leave it out", rule.name);
            self.problems.add(self.place(attribute.name_span), message);
        }
        Value {
            name: rule.name,
            kind: rule.kind,
            text,
            place: self.place(span),
            broken: broken || is_empty,
            secret: false,
        }
    }

    fn children(&mut self, rule: &'static ElementRule, children: Vec<Element>) -> Vec<Node> {
        let mut known: Vec<Node> = Vec::with_capacity(children.len());
        // Which of the elements that may stand only once already did, and where.
        let mut single: Vec<(&'static str, Place)> = Vec::new();
        for child in children {
            let place = self.place(child.name_span);
            let Some(found) = rule.children().iter().find(|rule| *rule.name == *child.name) else {
                self.problems.add_with(place, || unknown_element(&child.name, rule));
                continue;
            };
            if found.later {
                self.problems.add(place, format!("<{}> is not supported yet", found.name));
                continue;
            }
            if let (Content::OneOf(_), Some(first)) = (&rule.content, known.first()) {
                let position = self.problems.position(first.place);
                let first = first.rule.name;
                let message = format!("<{}> holds only one element; <{first}> is at {position}", rule.name);
                self.problems.add(place, message);
                continue;
            }
            if !found.many {
                if let Some((_, first)) = single.iter().find(|(name, _)| *name == found.name) {
                    let first = self.problems.position(*first);
                    let message =
                        format!("<{}> may stand only once here; the first is at {first}", found.name);
                    self.problems.add(place, message);
                    continue;
                }
                single.push((found.name, place));
            }
            let node = self.node(child, found);
            known.push(node);
        }
        known
    }

    fn value(
        &mut self,
        rule: &'static ElementRule,
        kind: Kind,
        text: Option<Text>,
        has_children: bool,
        element: Place,
    ) -> Option<Value> {
        let Some(Text { value: text, span, broken }) = text else {
            // What stands in it instead has been told already.
            if !has_children {
                let message = format!("<{}> is empty: give it a value, or leave it out", rule.name);
                self.problems.add(element, message);
            }
            return None;
        };
        let broken = broken || has_children;
        Some(Value { name: rule.name, kind, text, place: self.place(span), broken, secret: false })
    }

    /// Takes out what lets editors find the XSD: `xmlns:xsi` and `xsi:noNamespaceSchemaLocation`.
    fn without_schema_location(&mut self, mut root: Element) -> Element {
        const NAMESPACE: (&str, &str) = ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
        const LOCATION: &str = "xsi:noNamespaceSchemaLocation";
        let has_namespace = root.attributes.iter().any(|attribute| *attribute.name == *NAMESPACE.0);
        root.attributes.retain(|attribute| match &*attribute.name {
            name if name == NAMESPACE.0 => {
                if *attribute.value.value != *NAMESPACE.1 {
                    let message = format!("{} must be \"{}\"", NAMESPACE.0, NAMESPACE.1);
                    self.problems.add(self.place(attribute.value.span), message);
                }
                false
            }
            LOCATION => {
                if !has_namespace {
                    let message =
                        format!("{LOCATION} needs the attribute {}=\"{}\"", NAMESPACE.0, NAMESPACE.1);
                    self.problems.add(self.place(attribute.name_span), message);
                }
                false
            }
            _ => true,
        });
        root
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file, span }
    }
}

/// `<signal> or <exec>`
fn listed(rule: &ElementRule) -> String {
    let names: Vec<_> = rule.children().iter().map(|child| format!("<{}>", child.name)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    one_of(&names)
}

/// The end of a sentence that says what an element holds instead of text.
fn holds(rule: &ElementRule) -> String {
    match rule.children() {
        [] if rule.attributes.is_empty() => String::new(),
        [] => ": it has only attributes".into(),
        [only] => format!(": it holds <{}>", only.name),
        _ => ": it holds only elements".into(),
    }
}

fn unknown_attribute(name: &str, rule: &ElementRule) -> String {
    let known: Vec<_> = rule.attributes.iter().map(|attribute| attribute.name).collect();
    let help = match similar(name, &known) {
        Some(similar) => format!("did you mean {similar}?"),
        None if rule.children().iter().any(|child| child.name == name) => {
            format!("it is an element here: <{name}>…</{name}>")
        }
        None if known.is_empty() => "it has none".into(),
        None => format!("it may have {}", known.join(", ")),
    };
    format!("<{}> has no attribute {}; {help}", rule.name, plain(name))
}

fn unknown_element(name: &str, rule: &ElementRule) -> String {
    let known: Vec<_> = rule.children().iter().map(|child| child.name).collect();
    let parents = grammar::parents_of(name);
    let help = match similar(name, &known) {
        Some(similar) => format!("; did you mean <{similar}>?"),
        None if rule.attributes.iter().any(|attribute| attribute.name == name) => {
            format!("; it is an attribute: <{} {name}=\"…\">", rule.name)
        }
        None if !parents.is_empty() => format!("; it belongs in <{}>", parents.join("> or <")),
        None => match &rule.content {
            Content::Value(_) => format!(": <{}> holds only text", rule.name),
            Content::Nothing => ": it holds nothing".into(),
            Content::Elements(children) | Content::OneOf(children) => {
                let usable = children.iter().filter(|child| !child.later).map(|child| child.name);
                format!("; known here are <{}>", usable.collect::<Vec<_>>().join(">, <"))
            }
        },
    };
    format!("<{}> may not stand in <{}>{help}", plain(name), rule.name)
}

/// The name that somebody is likely to have meant.
pub(super) fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= known.len().max(2) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn a_name_is_suggested_only_if_it_is_close() {
        let known = ["startDelay", "startPriority", "user", "log"];
        for (name, expected) in [
            ("startdelay", Some("startDelay")),
            ("startDealy", Some("startDelay")),
            ("usr", Some("user")),
            ("lgo", Some("log")),
            ("banana", None),
            ("x", None),
        ] {
            assert_eq!(similar(name, &known), expected, "{name}");
        }
    }
}
