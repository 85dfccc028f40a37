//! Who somebody is, and whether they may do what they ask.
//!
//! Owns tokens, passwords, OAuth, roles and bindings, and permits: the values without which no content is reached.
//! Does not know of HTTP: protocol crates turn its errors into answers. It reads API objects from the store and
//! writes only those that logging in makes: users, identities, OAuth tokens and authorizations.

mod attempts;
mod attributes;
mod auth;
pub mod bootstrap;
mod cache;
mod config;
mod credentials;
mod decisions;
mod denied;
mod era;
pub mod federation;
mod identity;
mod impersonation;
mod index;
pub mod jose;
pub mod ldap;
pub mod oauth;
pub mod openid;
pub mod password;
mod permit;
mod rbac;
pub mod remote_password;
pub mod request_header;
pub mod scope;
pub mod service_account;
mod stored;
pub mod subject;
pub mod web;

pub use attempts::{network, tables};
pub use attributes::Attributes;
pub use auth::Auth;
pub use config::Config;
pub use credentials::{Credentials, InvalidCredentials, Unauthenticated};
pub use denied::{Decision, Denied, EscalationDenied, GrantDenied};
pub use era::Era;
pub use identity::{MAX_TOKEN_BYTES, OAUTH_PREFIX, oauth_object_name};
pub use impersonation::{Impersonation, ImpersonationDenied};
pub use permit::{Api, Catalog, CreateStream, Delete, Permit, Pull, Push};
pub use rbac::everything;
pub use rbac::policy::RoleName;
pub use subject::Subject;
