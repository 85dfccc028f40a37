//! Groups and their members as a directory records them: in entries of groups that list their members (RFC 2307), in
//! entries of users that list their groups (Active Directory), or in both (augmented).
//!
//! Owns how one is found from the other. Entries are asked for once.

use std::collections::{BTreeMap, HashMap};

use super::{
    config::{GroupEntries, Members, Query, Schema, Tolerance},
    directory::{Directory, DirectoryError},
    entry::Entry,
};

/// The records of a directory.
pub(super) struct Records<'c> {
    directory: Directory,
    schema: &'c Schema,
    groups: HashMap<String, Entry>,
    users: HashMap<String, Entry>,
    /// Who is in which group, where users say that and all were read.
    by_users: Option<BTreeMap<String, Vec<Entry>>>,
    remarks: Vec<String>,
}

impl<'c> Records<'c> {
    pub(super) fn new(directory: Directory, schema: &'c Schema) -> Self {
        Self {
            directory,
            schema,
            groups: HashMap::new(),
            users: HashMap::new(),
            by_users: None,
            remarks: Vec::new(),
        }
    }

    /// What was passed over since the last time.
    pub(super) fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// The identifiers of all groups.
    pub(super) async fn list(&mut self) -> Result<Vec<String>, DirectoryError> {
        if let Members::OfUsers { users, attributes } = &self.schema.members {
            let by_users = self.read_users(users, attributes).await?;
            return Ok(self.by_users.insert(by_users).keys().cloned().collect());
        }
        let Some(groups) = &self.schema.groups else { return Ok(Vec::new()) };
        let mut uids = Vec::new();
        for entry in self.directory.entries(&groups.query, None, &self.group_attributes(groups)).await? {
            let Some(uid) = entry.first(std::slice::from_ref(&groups.uid))?.map(str::to_owned) else {
                return Err(DirectoryError::NoUid { dn: entry.dn });
            };
            uids.push(uid.clone());
            self.groups.insert(uid, entry);
        }
        Ok(uids)
    }

    /// The entries of a group's members.
    pub(super) async fn members(&mut self, uid: &str) -> Result<Vec<Entry>, DirectoryError> {
        match &self.schema.members {
            Members::OfGroups { attributes, users, uid: user_uid, tolerance } => {
                let Some(groups) = &self.schema.groups else { return Ok(Vec::new()) };
                let group = self.group(groups, uid).await?;
                let mut members = Vec::new();
                for member in group.all(attributes)? {
                    match self.user(users, user_uid, member).await {
                        Ok(entry) => members.push(entry),
                        Err(error) if is_tolerated(&error, *tolerance) => {
                            self.remarks
                                .push(format!("For group {uid:?}, ignoring member {member:?}: {error}"));
                        }
                        Err(error) => {
                            return Err(DirectoryError::Member {
                                member: member.clone(),
                                source: Box::new(error),
                            });
                        }
                    }
                }
                Ok(members)
            }
            Members::OfUsers { users, attributes } => {
                if let Some(by_users) = &self.by_users {
                    return Ok(by_users.get(uid).cloned().unwrap_or_default());
                }
                let mut members: Vec<Entry> = Vec::new();
                for attribute in attributes {
                    let wanted = self.user_attributes(attributes);
                    let found = self.directory.entries(users, Some((attribute, uid)), &wanted).await?;
                    let is_new = |entry: &Entry| !members.iter().any(|known| known.dn == entry.dn);
                    let new: Vec<Entry> = found.into_iter().filter(is_new).collect();
                    members.extend(new);
                }
                Ok(members)
            }
        }
    }

    /// Whether the directory still has the group.
    pub(super) async fn exists(&mut self, uid: &str) -> Result<bool, DirectoryError> {
        if let Some(groups) = &self.schema.groups {
            match self.group(groups, uid).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        match &self.schema.members {
            Members::OfGroups { .. } => Ok(true),
            Members::OfUsers { .. } => Ok(!self.members(uid).await?.is_empty()),
        }
    }

    /// Makes sure that the directory shows us groups, so that one which it does not show is gone.
    pub(super) async fn see_some(&self) -> Result<(), DirectoryError> {
        if let Some(groups) = &self.schema.groups {
            self.directory.sees(&groups.query, std::slice::from_ref(&groups.uid)).await?;
        }
        match &self.schema.members {
            Members::OfGroups { .. } => Ok(()),
            Members::OfUsers { users, attributes } => self.directory.sees(users, attributes).await,
        }
    }

    /// What the Group of a record is called.
    pub(super) async fn group_name(&mut self, uid: &str) -> Result<String, DirectoryError> {
        let Some(groups) = &self.schema.groups else { return Ok(uid.to_owned()) };
        let entry = self.group(groups, uid).await?;
        named(&entry, &groups.names, "group")
    }

    /// What the User of an entry is called.
    pub(super) fn user_name(&self, entry: &Entry) -> Result<String, DirectoryError> {
        named(entry, &self.schema.user_names, "user")
    }

    async fn group(&mut self, groups: &GroupEntries, uid: &str) -> Result<Entry, DirectoryError> {
        if let Some(known) = self.groups.get(uid) {
            return Ok(known.clone());
        }
        let wanted = self.group_attributes(groups);
        let entry = self.directory.entry(&groups.query, (&groups.uid, uid), &wanted).await?;
        self.groups.insert(uid.to_owned(), entry.clone());
        Ok(entry)
    }

    async fn user(&mut self, users: &Query, attribute: &str, uid: &str) -> Result<Entry, DirectoryError> {
        if let Some(known) = self.users.get(uid) {
            return Ok(known.clone());
        }
        let wanted = self.user_attributes(&[]);
        let entry = self.directory.entry(users, (attribute, uid), &wanted).await?;
        self.users.insert(uid.to_owned(), entry.clone());
        Ok(entry)
    }

    async fn read_users(
        &mut self,
        users: &Query,
        attributes: &[String],
    ) -> Result<BTreeMap<String, Vec<Entry>>, DirectoryError> {
        let mut by_users: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in self.directory.entries(users, None, &self.user_attributes(attributes)).await? {
            for uid in entry.all(attributes)? {
                let members = by_users.entry(uid.clone()).or_default();
                if members.iter().all(|known| known.dn != entry.dn) {
                    members.push(entry.clone());
                }
            }
        }
        Ok(by_users)
    }

    fn group_attributes(&self, groups: &GroupEntries) -> Vec<String> {
        let members = match &self.schema.members {
            Members::OfGroups { attributes, .. } => attributes.as_slice(),
            Members::OfUsers { .. } => &[],
        };
        [groups.names.as_slice(), members, std::slice::from_ref(&groups.uid)].concat()
    }

    fn user_attributes(&self, more: &[String]) -> Vec<String> {
        [self.schema.user_names.as_slice(), more].concat()
    }
}

fn named(entry: &Entry, attributes: &[String], what: &'static str) -> Result<String, DirectoryError> {
    match entry.first(attributes)? {
        Some(name) => Ok(name.to_owned()),
        None => {
            Err(DirectoryError::Nameless { what, dn: entry.dn.clone(), attributes: attributes.join(", ") })
        }
    }
}

fn is_tolerated(error: &DirectoryError, tolerance: Tolerance) -> bool {
    (error.is_not_found() && tolerance.not_found) || (error.is_out_of_scope() && tolerance.out_of_scope)
}
