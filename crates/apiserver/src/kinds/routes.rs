//! Routes: hosts, who may choose one, and the right to bring certificates (platform 7.3).
//!
//! Owns the checks of `routes/custom-host`. What a route may look like is said in `api`; admitting it is the router's.

use pierhead_api::field::FieldErrors;
use pierhead_api::route::{HOST_GENERATED, Route, RouteStatus};
use pierhead_auth::Era;

use crate::kind::Kind;
use crate::strategy::{Change, Strategy};

const GROUP: &str = "route.openshift.io";
const CUSTOM_HOST: &str = "routes/custom-host";
const NO_HOST: &str = "you do not have permission to set the host field of the route";
const NO_CERTIFICATES: &str = "you do not have permission to set certificate fields on the route";

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::stored(Routes).openshift().generation().status().fields(&[
        ("spec.host", "/spec/host"),
        ("spec.path", "/spec/path"),
        ("spec.to.name", "/spec/to/name"),
    ])
}

struct Routes;

impl Strategy for Routes {
    type Object = Route;

    fn prepare_create(&self, route: &mut Route, change: &Change<'_>) {
        route.status = RouteStatus::default();
        route.drop_empty_ca();
        route.set_defaults();
        if route.chooses_host() {
            // Only we say that a host was made up; a copied manifest may still carry the mark.
            route.metadata.annotations.remove(HOST_GENERATED);
        }
        route.generate_host(&change.settings.route_domain);
    }

    fn prepare_update(&self, route: &mut Route, old: &Route, _: &Change<'_>) {
        route.drop_empty_ca();
        route.keep_host(old);
        route.set_defaults();
    }

    fn validate(&self, route: &Route, change: &Change<'_>) -> FieldErrors {
        let mut errors = route.validate();
        let chosen = route.chooses_host() && route.metadata.annotation(HOST_GENERATED).is_none();
        let asks = chosen || route.brings_certificates();
        if asks && hosts_are_guarded(change) && !change.may("create", GROUP, CUSTOM_HOST) {
            if chosen {
                errors.forbidden("spec.host", NO_HOST);
            } else {
                errors.forbidden("spec.tls", NO_CERTIFICATES);
            }
        }
        errors
    }

    fn validate_update(&self, route: &Route, old: &Route, change: &Change<'_>) -> FieldErrors {
        let mut errors = route.validate_update(old);
        if hosts_are_guarded(change) {
            errors.append(guard_changes(route, old, change));
        }
        errors
    }
}

/// In 3.1 and 3.2 everybody who could write a route could choose its host.
fn hosts_are_guarded(change: &Change<'_>) -> bool {
    change.settings.era != Era::V3_2
}

fn guard_changes(route: &Route, old: &Route, change: &Change<'_>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let changes = route.host_changes(old);
    if changes == pierhead_api::route::HostChange::default() || change.may("update", GROUP, CUSTOM_HOST) {
        return errors;
    }
    if changes.host {
        errors.invalid("spec.host", route.spec.host.as_str(), NO_HOST);
    }
    if changes.subdomain {
        errors.invalid("spec.subdomain", route.spec.subdomain.as_str(), NO_HOST);
    }
    if changes.certificates && !change.may("create", GROUP, CUSTOM_HOST) {
        for field in route.changed_certificates(old) {
            errors.invalid(format!("spec.tls.{field}"), "redacted", NO_CERTIFICATES);
        }
    }
    errors
}
