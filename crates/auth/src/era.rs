//! Which generation of OpenShift the rules and texts follow. Nothing else depends on the clock of history.

/// A generation of OpenShift (design 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Era {
    /// As in the seed, 3.1 to 3.2: only cluster administrators may grant `system:image-builder`.
    #[default]
    V3_2,
    /// OpenShift 4.
    V4,
}
