//! From somebody whom a provider knows to a User object (platform 2.9).
//!
//! Owns the mapping methods, the Identity and User that a first login makes, and groups: those that a provider speaks
//! of are kept in step with what it says, and carry an annotation that names it; no other group is touched.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use pierhead_store::objects::{OBJECTS, ObjectKey, ObjectRecord};
use pierhead_store::{KeyRange, StoreError, WriteTx};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::password::{MappingMethod, ProviderUser, is_user_name};
use crate::stored::{self, resource};

use super::login::LoginError;
use super::{StoredUser, User, create, find, update};

/// Numbers tried behind a name that is taken.
const MOST_NAMES: u32 = 1_000;
/// Groups read at a time.
const PAGE: usize = 500;
/// Groups that one login is put into at most.
const MOST_GROUPS: usize = 500;

#[derive(Deserialize)]
struct StoredIdentity {
    #[serde(default)]
    user: Option<StoredIdentityUser>,
}

#[derive(Deserialize)]
struct StoredIdentityUser {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
}

/// The user of an identity, made with it at the first login.
pub(super) fn map(
    tx: &mut WriteTx<'_>,
    known: &ProviderUser,
    method: MappingMethod,
    now: Timestamp,
) -> Result<User, LoginError> {
    let identity = identity_name(known);
    let user = match find::<StoredIdentity>(tx, resource::IDENTITIES, &identity)? {
        Some(stored) => mapped(tx, stored, identity)?,
        None => first_login(tx, known, method, (&identity, now))?,
    };
    if let Some(groups) = &known.groups {
        keep_groups(tx, (&known.provider, &user.name), groups, now)?;
    }
    Ok(user)
}

/// `<provider>:<id>`. Identifiers that a name cannot hold are written in base64url, and so are those that read as if
/// they were: two people never have one name.
fn identity_name(known: &ProviderUser) -> String {
    let ProviderUser { provider, id, .. } = known;
    if is_user_name(id) && !id.starts_with("b64-") {
        format!("{provider}:{id}")
    } else {
        format!("{provider}:b64-{}", BASE64_URL_SAFE_NO_PAD.encode(id))
    }
}

fn first_login(
    tx: &mut WriteTx<'_>,
    known: &ProviderUser,
    method: MappingMethod,
    (identity, now): (&str, Timestamp),
) -> Result<User, LoginError> {
    if method == MappingMethod::Lookup {
        return Err(LoginError::Lookup { identity: identity.to_owned() });
    }
    if !is_user_name(&known.name) {
        return Err(LoginError::Name { identity: identity.to_owned() });
    }
    let claimed = || LoginError::Claim { user: known.name.clone(), identity: identity.to_owned() };
    let user = match (find::<StoredUser>(tx, resource::USERS, &known.name)?, method) {
        (None, _) => make_user(tx, &known.name, (known, identity), now)?,
        (Some(user), method) if user.metadata.is_being_deleted() && method != MappingMethod::Generate => {
            return Err(LoginError::Lookup { identity: identity.to_owned() });
        }
        // An admin has mapped one side of it.
        (Some(user), _) if lists(&user, identity) && !user.metadata.is_being_deleted() => {
            User { name: user.metadata.name, uid: user.metadata.uid }
        }
        (Some(user), MappingMethod::Add) => {
            add_identity(tx, &user.metadata.name, identity)?.ok_or_else(claimed)?
        }
        (Some(_), MappingMethod::Generate) => {
            let name = free_name(tx, &known.name)?.ok_or_else(claimed)?;
            make_user(tx, &name, (known, identity), now)?
        }
        (Some(_), MappingMethod::Claim | MappingMethod::Lookup) => return Err(claimed()),
    };
    let mut object = json!({
        "kind": "Identity",
        "apiVersion": "user.openshift.io/v1",
        "metadata": {"name": identity},
        "providerName": known.provider,
        "providerUserName": identity.split_once(':').map_or(identity, |(_, id)| id),
        "user": {"name": user.name, "uid": user.uid},
    });
    if !known.extra.is_empty() {
        object["extra"] = json!(known.extra);
    }
    create(tx, resource::IDENTITIES, identity, object, now)?;
    Ok(user)
}

fn lists(user: &StoredUser, identity: &str) -> bool {
    user.identities.iter().flatten().any(|of| of == identity)
}

fn make_user(
    tx: &mut WriteTx<'_>,
    name: &str,
    (known, identity): (&ProviderUser, &str),
    now: Timestamp,
) -> Result<User, StoreError> {
    let mut user = json!({
        "kind": "User",
        "apiVersion": "user.openshift.io/v1",
        "metadata": {"name": name},
        "identities": [identity],
        "groups": Value::Null,
    });
    if !known.full_name.is_empty() {
        user["fullName"] = json!(known.full_name);
    }
    create(tx, resource::USERS, name, user, now)?;
    let made: Option<StoredUser> = find(tx, resource::USERS, name)?;
    Ok(User { name: name.to_owned(), uid: made.map(|made| made.metadata.uid).unwrap_or_default() })
}

/// Puts one more identity to a user; `None` where the object cannot be read.
fn add_identity(tx: &mut WriteTx<'_>, name: &str, identity: &str) -> Result<Option<User>, StoreError> {
    let Some(mut user) = find::<Value>(tx, resource::USERS, name)? else { return Ok(None) };
    match user["identities"].as_array_mut() {
        Some(identities) => identities.push(json!(identity)),
        None => user["identities"] = json!([identity]),
    }
    let Some(uid) = user["metadata"]["uid"].as_str().map(str::to_owned) else { return Ok(None) };
    update(tx, resource::USERS, name, user)?;
    Ok(Some(User { name: name.to_owned(), uid }))
}

fn free_name(tx: &WriteTx<'_>, taken: &str) -> Result<Option<String>, StoreError> {
    for number in 2..=MOST_NAMES {
        let name = format!("{taken}{number}");
        if find::<StoredUser>(tx, resource::USERS, &name)?.is_none() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The user an identity is mapped to, if both sides say so.
fn mapped(tx: &WriteTx<'_>, identity: StoredIdentity, identity_name: String) -> Result<User, LoginError> {
    let Some(of) = identity.user.filter(|of| !of.name.is_empty()) else {
        return Err(LoginError::Lookup { identity: identity_name });
    };
    let user: Option<StoredUser> = find(tx, resource::USERS, &of.name)?;
    let Some(user) = user.filter(|user| user.is_still(&of.uid)) else {
        return Err(LoginError::Lookup { identity: identity_name });
    };
    if !lists(&user, &identity_name) {
        return Err(LoginError::Claim { user: of.name, identity: identity_name });
    }
    Ok(User { name: of.name, uid: of.uid })
}

/// Annotation of groups that are kept in step with a provider.
fn annotation(provider: &str) -> String {
    format!("oauth.openshift.io/idp.{provider}")
}

/// Puts the user into the groups that the provider names, and out of those that it named before and does not now.
fn keep_groups(
    tx: &mut WriteTx<'_>,
    (provider, user): (&str, &str),
    wanted: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    let key = annotation(provider);
    let mut wanted: Vec<&str> =
        wanted.iter().map(String::as_str).filter(|name| is_user_name(name)).take(MOST_GROUPS).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut range = KeyRange::prefix(resource::GROUPS);
    loop {
        let page: Vec<(ObjectKey, ObjectRecord)> = tx.scan(&OBJECTS, &range, PAGE)?;
        for (ObjectKey { name, .. }, ObjectRecord(record)) in &page {
            let is_wanted = wanted.iter().position(|of| of == name).map(|at| wanted.remove(at)).is_some();
            let Some(group) = stored::parse::<Value>(record, resource::GROUPS, "", name) else { continue };
            if group["metadata"]["annotations"][&key].is_string() {
                keep_group(tx, name, group, (user, is_wanted))?;
            }
        }
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else { break };
        range = KeyRange::prefix(resource::GROUPS).after(last);
    }
    for name in wanted {
        let group = json!({
            "kind": "Group",
            "apiVersion": "user.openshift.io/v1",
            "metadata": {
                "name": name,
                "annotations": {"oauth.openshift.io/generated": "true", (key.as_str()): "synced"},
            },
            "users": [user],
        });
        create(tx, resource::GROUPS, name, group, now)?;
    }
    Ok(())
}

fn keep_group(
    tx: &mut WriteTx<'_>,
    name: &str,
    mut group: Value,
    (user, is_wanted): (&str, bool),
) -> Result<(), StoreError> {
    let mut users = group["users"].as_array().cloned().unwrap_or_default();
    let is_in = users.iter().any(|of| of == user);
    if is_in == is_wanted {
        return Ok(());
    }
    if is_wanted {
        users.push(json!(user));
    } else {
        users.retain(|of| of != user);
    }
    group["users"] = if users.is_empty() { Value::Null } else { Value::Array(users) };
    update(tx, resource::GROUPS, name, group)
}
