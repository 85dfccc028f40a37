//! Nodes: the machines that run pods, as they register themselves.

use pierhead_api::core::Node;
use pierhead_api::field::FieldErrors;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Nodes)
        .unconditional_update()
        .status()
        .fields(&[("spec.unschedulable", "/spec/unschedulable")])
}

struct Nodes;

impl Strategy for Nodes {
    type Object = Node;

    fn validate(&self, node: &Node, _: &Change<'_>) -> FieldErrors {
        node.validate()
    }

    fn validate_update(&self, node: &Node, old: &Node, _: &Change<'_>) -> FieldErrors {
        node.validate_update(old)
    }
}
