//! Which objects are sealed on the disk: those that hold what opens something.

use pierhead_store::{OBJECTS, Sealing};

/// Resources whose objects hold passwords, tokens or private keys: secrets; clients of OAuth and what they were given;
/// routes, which hold the keys of their certificates.
const SEALED: [&str; 5] = [
    "secrets",
    "oauthclients.oauth.openshift.io",
    "oauthaccesstokens.oauth.openshift.io",
    "oauthauthorizetokens.oauth.openshift.io",
    "routes.route.openshift.io",
];

/// Also seals the objects of this API that need it.
pub fn sealed(sealing: Sealing) -> Sealing {
    SEALED.iter().fold(sealing, |sealing, resource| sealing.rows(OBJECTS.name(), &(*resource,)))
}
