//! What a server is made of: its profiles and itself, and which of them has the say.

use super::structure::{Node, Value};

/// The bundles that a server is made of, the weakest first.
pub(super) struct Layers<'b>(pub(super) Vec<&'b Node>);

impl<'b> Layers<'b> {
    /// An element that stands only once: that of the strongest layer that has it.
    pub(super) fn element(&self, name: &str) -> Option<&'b Node> {
        self.0.iter().rev().find_map(|layer| layer.child(name))
    }

    /// The value of an element that stands only once: that of the strongest layer that has it.
    pub(super) fn value(&self, name: &str) -> Option<&'b Value> {
        self.0.iter().rev().find_map(|layer| layer.child(name)?.value.as_ref())
    }

    /// An attribute of an element that stands only once: that of the strongest layer that has it.
    pub(super) fn attribute(&self, element: &str, attribute: &str) -> Option<&'b Value> {
        self.0.iter().rev().find_map(|layer| layer.child(element)?.attribute(attribute))
    }

    /// What a list holds in all layers, in order.
    pub(super) fn list(&self, name: &'static str) -> impl Iterator<Item = &'b Node> {
        self.0.iter().filter_map(move |layer| layer.child(name)).flat_map(|list| &list.children)
    }
}
