//! What all kinds share: metadata, lists, `Status`, tables, discovery documents and request options.

mod discovery;
mod label_selector;
mod managed_fields;
mod object_meta;
mod options;
mod status;
mod table;
mod time;

pub use discovery::{
    APIGroup, APIGroupDiscovery, APIGroupDiscoveryList, APIGroupList, APIResource, APIResourceDiscovery,
    APIResourceList, APISubresourceDiscovery, APIVersionDiscovery, APIVersions, GroupVersionForDiscovery,
    GroupVersionKind, ServerAddressByClientCIDR,
};
pub use label_selector::{LabelSelector, LabelSelectorRequirement};
pub use managed_fields::ManagedFieldsEntry;
pub use object_meta::{List, ListMeta, ObjectMeta, OwnerReference};
pub use options::{DeleteOptions, Preconditions};
pub use status::{Status, StatusCause, StatusDetails, StatusReason};
pub use table::{PartialObjectMetadata, Table, TableColumnDefinition, TableRow};
pub use time::{MicroTime, Time};

pub(crate) fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
