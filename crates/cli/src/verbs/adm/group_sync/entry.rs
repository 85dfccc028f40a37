//! An entry of a directory, and which of its values are still to be asked for.
//!
//! Active Directory gives at most so many values of an attribute, says which in the attribute's name
//! (`member;range=0-1499`), and is asked for those that follow. An attribute of which not all values are there, or are
//! text, is never taken for one that has fewer.

use std::collections::{BTreeSet, HashMap};

use ldap3::SearchEntry;

use super::config::is_dn;

/// An attribute's values are not to be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the directory gives values of {attribute} of {dn:?} that are not text, or not all of them")]
pub(super) struct UnreadableError {
    attribute: String,
    dn: String,
}

/// An entry, with the values that are text.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) dn: String,
    /// By name in small letters.
    attributes: HashMap<String, Vec<String>>,
    /// Names of those with more values than are here.
    partial: BTreeSet<String>,
    /// Names of those whose values cannot be read.
    unreadable: BTreeSet<String>,
}

impl Entry {
    pub(super) fn new(mut found: SearchEntry) -> Self {
        let (attributes, partial, unreadable) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
        let dn = std::mem::take(&mut found.dn);
        let mut entry = Self { dn, attributes, partial, unreadable };
        entry.take(found);
        entry
    }

    /// An attribute with more values than are here, and the name that asks for those.
    pub(super) fn missing(&self) -> Option<(String, String)> {
        let attribute = self.partial.first()?;
        Some((attribute.clone(), format!("{attribute};range={}-*", self.count(attribute))))
    }

    /// Takes the values that were asked for because this attribute lacked some. An answer without any is the last.
    pub(super) fn complete(&mut self, attribute: &str, found: Option<SearchEntry>) {
        let before = self.count(attribute);
        self.partial.remove(attribute);
        if let Some(found) = found {
            self.take(found);
        }
        if self.count(attribute) == before {
            self.partial.remove(attribute);
            self.unreadable.insert(attribute.to_owned());
        }
    }

    /// The values of an attribute; `dn` is the entry's own name.
    pub(super) fn values(&self, attribute: &str) -> Result<&[String], UnreadableError> {
        if is_dn(attribute) {
            return Ok(std::slice::from_ref(&self.dn));
        }
        let name = attribute.to_lowercase();
        if self.unreadable.contains(&name) || self.partial.contains(&name) {
            return Err(UnreadableError { attribute: attribute.to_owned(), dn: self.dn.clone() });
        }
        Ok(self.attributes.get(&name).map_or(&[], Vec::as_slice))
    }

    /// The values of all these attributes.
    pub(super) fn all<'e>(&'e self, attributes: &[String]) -> Result<Vec<&'e String>, UnreadableError> {
        let values = attributes.iter().map(|attribute| self.values(attribute));
        Ok(values.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The first value of the first of these attributes that the entry has.
    pub(super) fn first(&self, attributes: &[String]) -> Result<Option<&str>, UnreadableError> {
        for attribute in attributes {
            if let Some(value) = self.values(attribute)?.iter().find(|value| !value.is_empty()) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn count(&self, name: &str) -> usize {
        self.attributes.get(name).map_or(0, Vec::len)
    }

    fn take(&mut self, found: SearchEntry) {
        for description in found.bin_attrs.keys() {
            let name = description.to_lowercase();
            let name = name.split_once(";range=").map_or(name.as_str(), |(name, _)| name);
            self.unreadable.insert(name.to_owned());
        }
        for (description, values) in found.attrs {
            let description = description.to_lowercase();
            let Some((name, range)) = description.split_once(";range=") else {
                self.attributes.entry(description).or_default().extend(values);
                continue;
            };
            let before = self.count(name);
            let held = self.attributes.entry(name.to_owned()).or_default();
            held.extend(values);
            match bounds(range) {
                Some((first, None)) if first == before => {}
                Some((first, Some(last))) if first == before && last.checked_add(1) == Some(held.len()) => {
                    self.partial.insert(name.to_owned());
                }
                _ => {
                    self.unreadable.insert(name.to_owned());
                }
            }
        }
    }
}

/// The first and the last of a range of values; without a last, it goes to the end.
fn bounds(range: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = range.split_once('-')?;
    let last = if last == "*" { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

#[cfg(test)]
mod tests {
    use ldap3::SearchEntry;

    use super::Entry;

    fn found(attributes: &[(&str, &[&str])], binary: &[&str]) -> SearchEntry {
        let texts = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        let attrs = attributes.iter().map(|(name, values)| ((*name).to_owned(), texts(values))).collect();
        let bin_attrs = binary.iter().map(|name| ((*name).to_owned(), vec![vec![0xff]])).collect();
        SearchEntry { dn: "cn=all,dc=acme".to_owned(), attrs, bin_attrs }
    }

    #[test]
    fn values_in_ranges_are_asked_for_until_all_are_there() {
        let first = [("member", &[][..]), ("Member;range=0-1", &["a", "b"])];
        let mut entry = Entry::new(found(&first, &[]));
        assert_eq!(entry.missing(), Some(("member".to_owned(), "member;range=2-*".to_owned())));
        entry.values("member").unwrap_err();
        entry.complete("member", Some(found(&[("member;Range=2-3", &["c", "d"])], &[])));
        assert_eq!(entry.missing(), Some(("member".to_owned(), "member;range=4-*".to_owned())));
        entry.complete("member", Some(found(&[("member;range=4-*", &["e"])], &[])));
        assert_eq!(entry.missing(), None);
        assert_eq!(entry.values("MEMBER").unwrap(), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn values_that_are_withheld_are_no_values_less() {
        let answers = [
            None,
            Some(found(&[], &[])),
            Some(found(&[("member;range=2-*", &["c"])], &[])),
            Some(found(&[("member;range=1-*", &[])], &[])),
            Some(found(&[("member;range=1-5", &["b"])], &[])),
            Some(found(&[("member;range=x", &["b"])], &[])),
            Some(found(&[], &["member;range=1-*"])),
        ];
        for answer in answers {
            let mut entry = Entry::new(found(&[("member;range=0-0", &["a"])], &[]));
            let shown = format!("{answer:?}");
            entry.complete("member", answer);
            assert_eq!(entry.missing(), None, "{shown}");
            entry.values("member").expect_err(&shown);
        }
    }

    #[test]
    fn values_that_are_not_text_are_an_error() {
        let entry = Entry::new(found(&[("cn", &["all"])], &["Member"]));
        assert_eq!(
            entry.all(&["cn".to_owned(), "member".to_owned()]).unwrap_err().to_string(),
            "the directory gives values of member of \"cn=all,dc=acme\" that are not text, or not all of them"
        );
        assert_eq!(entry.first(&["cn".to_owned(), "member".to_owned()]).unwrap(), Some("all"));
    }
}
