//! Mappings between identities and users (platform 2.9): not stored, but read from both ends and written to both.
//!
//! Owns the two-sided writes. A mapping exists when identity and user name each other and the UIDs agree.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use pierhead_api::core::ObjectReference;
use pierhead_api::field::FieldErrors;
use pierhead_api::meta::{ObjectMeta, Status};
use pierhead_api::user::{Identity, User, UserIdentityMapping};
use pierhead_api::{Object, from_slice, from_value, to_value};
use pierhead_store::WriteTx;
use pierhead_store::objects::{OBJECTS, ObjectKey};
use serde_json::Value;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::kind::{Connect, Kind, Verb};
use crate::query::DryRun;
use crate::storage::objects::put;

const GROUP: &str = "user.openshift.io";

/// The kind.
pub(crate) fn kind() -> Kind {
    Kind::calls::<UserIdentityMapping>(&[Verb::Create, Verb::Delete, Verb::Get, Verb::Update], Mappings)
        .openshift()
}

struct Mappings;

impl Connect for Mappings {
    fn call<'a>(&'a self, call: &'a Call, body: Option<Value>) -> BoxFuture<'a, Result<Answer, ApiError>> {
        async move {
            match call.verb {
                Verb::Create => create(call, &body.unwrap_or_default()).await,
                Verb::Update => update(call, &body.unwrap_or_default()).await,
                Verb::Delete => delete(call).await,
                Verb::Get => {
                    let name = call.name().to_owned();
                    let found = call.server.store.read(|tx| {
                        let identity = tx.get(&OBJECTS, &key::<Identity>(&name))?;
                        let identity = identity.map(|record| decode::<Identity>(&record.0)).transpose()?;
                        let Some(identity) = identity else { return Ok::<_, ApiError>(None) };
                        let user = tx.get(&OBJECTS, &key::<User>(&identity.user.name))?;
                        let user = user.map(|record| decode::<User>(&record.0)).transpose()?;
                        Ok(mapping(&identity, user.as_ref()))
                    })?;
                    Ok(Answer::ok(to_value(&found.ok_or_else(|| call.not_found(call.name()))?)))
                }
                Verb::DeleteCollection | Verb::List | Verb::Patch | Verb::Watch => {
                    Err(call.wrong_verb().into())
                }
            }
        }
        .boxed()
    }
}

fn key<T: Object>(name: &str) -> ObjectKey {
    ObjectKey::new(T::qualified_resource(), "", name)
}

fn decode<T: Object>(bytes: &[u8]) -> Result<T, ApiError> {
    from_slice(bytes).map_err(|error| ApiError::internal(&error))
}

fn find<T: Object>(tx: &WriteTx<'_>, name: &str) -> Result<Option<T>, ApiError> {
    tx.get(&OBJECTS, &key::<T>(name))?.map(|record| decode(&record.0)).transpose()
}

fn save<T: Object>(tx: &mut WriteTx<'_>, object: &T) -> Result<(), ApiError> {
    put(tx, &key::<T>(&object.metadata().name), to_value(object))?;
    Ok(())
}

/// The mapping of an identity, if both sides say so.
fn mapping(identity: &Identity, user: Option<&User>) -> Option<UserIdentityMapping> {
    let user = user?;
    let named = user.identities.iter().flatten().any(|name| *name == identity.metadata.name);
    if !named || user.metadata.name != identity.user.name || user.metadata.uid != identity.user.uid {
        return None;
    }
    let reference =
        |name: &str, uid: &str| ObjectReference { uid: uid.to_owned(), ..ObjectReference::named(name) };
    Some(UserIdentityMapping {
        metadata: ObjectMeta {
            uid: identity.metadata.uid.clone(),
            resource_version: identity.metadata.resource_version.clone(),
            creation_timestamp: identity.metadata.creation_timestamp,
            ..ObjectMeta::named(identity.metadata.name.as_str())
        },
        identity: reference(&identity.metadata.name, &identity.metadata.uid),
        user: reference(&user.metadata.name, &user.metadata.uid),
    })
}

fn asked(call: &Call, document: &Value) -> Result<UserIdentityMapping, ApiError> {
    let mut mapping: UserIdentityMapping =
        from_value(document).map_err(|error| Status::bad_request(error.to_string()))?;
    if mapping.metadata.name.is_empty() {
        call.name().clone_into(&mut mapping.metadata.name);
    }
    mapping.set_defaults();
    check(&mapping, &mapping.validate())?;
    Ok(mapping)
}

fn check(mapping: &UserIdentityMapping, errors: &FieldErrors) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("UserIdentityMapping", GROUP, &mapping.metadata.name, errors).into())
}

/// Both ends of a mapping that is to be; 422 for one that is not there or not the one meant.
fn ends(tx: &WriteTx<'_>, asked: &UserIdentityMapping) -> Result<(Identity, User), ApiError> {
    let mut errors = FieldErrors::new();
    let identity: Option<Identity> = find(tx, &asked.identity.name)?;
    let user: Option<User> = find(tx, &asked.user.name)?;
    let (identity_name, user_name) = (asked.identity.name.as_str(), asked.user.name.as_str());
    match &identity {
        None => errors.not_found("identity.name", identity_name),
        Some(found) => check_uid(&mut errors, "identity.uid", &asked.identity.uid, &found.metadata.uid),
    }
    match &user {
        None => errors.not_found("user.name", user_name),
        Some(found) => check_uid(&mut errors, "user.uid", &asked.user.uid, &found.metadata.uid),
    }
    check(asked, &errors)?;
    identity.zip(user).ok_or_else(|| Status::not_found("identities", GROUP, identity_name).into())
}

fn check_uid(errors: &mut FieldErrors, field: &str, wanted: &str, is: &str) {
    if !wanted.is_empty() && wanted != is {
        errors.invalid(field, wanted, "does not match the uid of the object");
    }
}

/// Makes both ends name each other, and takes the identity from the user that had it.
fn link(
    tx: &mut WriteTx<'_>,
    mut identity: Identity,
    mut user: User,
) -> Result<Option<UserIdentityMapping>, ApiError> {
    if identity.user.name != user.metadata.name {
        unlink_user(tx, &identity)?;
    }
    let identities = user.identities.get_or_insert_default();
    if !identities.contains(&identity.metadata.name) {
        identities.push(identity.metadata.name.clone());
        save(tx, &user)?;
    }
    identity.user = ObjectReference {
        uid: user.metadata.uid.clone(),
        ..ObjectReference::named(user.metadata.name.as_str())
    };
    save(tx, &identity)?;
    let identity = find(tx, &identity.metadata.name)?;
    Ok(identity.and_then(|identity| mapping(&identity, Some(&user))))
}

fn unlink_user(tx: &mut WriteTx<'_>, identity: &Identity) -> Result<(), ApiError> {
    if identity.user.name.is_empty() {
        return Ok(());
    }
    if let Some(mut user) = find::<User>(tx, &identity.user.name)?
        && let Some(identities) = &mut user.identities
    {
        let before = identities.len();
        identities.retain(|name| *name != identity.metadata.name);
        if identities.len() != before {
            save(tx, &user)?;
        }
    }
    Ok(())
}

fn dry_run(call: &Call) -> DryRun {
    if call.query.all("dryRun").any(|value| value == "All") { DryRun::All } else { DryRun::No }
}

async fn create(call: &Call, document: &Value) -> Result<Answer, ApiError> {
    let asked = asked(call, document)?;
    let dry_run = dry_run(call);
    let made = call
        .server
        .store
        .write(move |tx| -> Result<Option<UserIdentityMapping>, ApiError> {
            let (identity, user) = ends(tx, &asked)?;
            if !identity.user.name.is_empty() {
                let name = &asked.metadata.name;
                return Err(Status::already_exists(UserIdentityMapping::PLURAL, GROUP, name).into());
            }
            if dry_run == DryRun::All {
                return Ok(Some(asked.clone()));
            }
            link(tx, identity, user)
        })
        .await?;
    Ok(Answer::created(to_value(&made.ok_or_else(|| call.not_found(call.name()))?)))
}

async fn update(call: &Call, document: &Value) -> Result<Answer, ApiError> {
    let asked = asked(call, document)?;
    if asked.metadata.name != call.name() {
        let (has, url) = (&asked.metadata.name, call.name());
        let message = format!("the name of the object ({has}) does not match the name on the URL ({url})");
        return Err(Status::bad_request(message).into());
    }
    let dry_run = dry_run(call);
    let made = call
        .server
        .store
        .write(move |tx| -> Result<Option<UserIdentityMapping>, ApiError> {
            let (identity, user) = ends(tx, &asked)?;
            let name = &asked.metadata.name;
            if identity.user.name.is_empty() {
                return Err(Status::not_found(UserIdentityMapping::PLURAL, GROUP, name).into());
            }
            let version = &asked.metadata.resource_version;
            if version.is_empty() {
                let mut errors = FieldErrors::new();
                errors.invalid("metadata.resourceVersion", "", "must be specified for an update");
                check(&asked, &errors)?;
            } else if *version != identity.metadata.resource_version {
                return Err(Status::modified(UserIdentityMapping::PLURAL, GROUP, name).into());
            }
            if dry_run == DryRun::All {
                return Ok(Some(asked.clone()));
            }
            link(tx, identity, user)
        })
        .await?;
    Ok(Answer::ok(to_value(&made.ok_or_else(|| call.not_found(call.name()))?)))
}

async fn delete(call: &Call) -> Result<Answer, ApiError> {
    let name = call.name().to_owned();
    let dry_run = dry_run(call);
    let found = call
        .server
        .store
        .write(move |tx| -> Result<bool, ApiError> {
            let Some(mut identity) = find::<Identity>(tx, &name)? else { return Ok(false) };
            if identity.user.name.is_empty() {
                return Ok(false);
            }
            if dry_run == DryRun::No {
                unlink_user(tx, &identity)?;
                identity.user = ObjectReference::default();
                save(tx, &identity)?;
            }
            Ok(true)
        })
        .await?;
    if !found {
        return Err(call.not_found(call.name()).into());
    }
    Ok(Answer::status(Status::deleted(UserIdentityMapping::PLURAL, GROUP, call.name(), "")))
}

#[cfg(test)]
mod tests {
    use pierhead_api::from_value;
    use pierhead_api::user::{Identity, User};
    use serde_json::{Value, json};

    use super::mapping;

    #[track_caller]
    fn check(identity_user: Value, user: Value, expected: bool) {
        let identity: Identity =
            from_value(&json!({"metadata": {"name": "p:ann", "uid": "i"}, "user": identity_user})).unwrap();
        let user: User = from_value(&user).unwrap();
        assert_eq!(mapping(&identity, Some(&user)).is_some(), expected);
    }

    #[test]
    fn both_ends_must_agree() {
        let ann = |uid: &str, identities: Value| json!({"metadata": {"name": "ann", "uid": uid}, "identities": identities});
        let reference = json!({"name": "ann", "uid": "u"});
        check(reference.clone(), ann("u", json!(["p:ann"])), true);
        check(reference.clone(), ann("u", json!([])), false);
        check(reference, ann("other", json!(["p:ann"])), false);
        check(json!({}), ann("u", json!(["p:ann"])), false);
    }
}
