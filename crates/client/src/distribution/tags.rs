//! Lists of tags, page by page.
//!
//! Owns where a list ends: at its limit, where it leads back to itself, and at the border of its host.

use std::collections::HashSet;

use http::header::LINK;
use http::{HeaderMap, Method};
use pierhead_oci::Tag;
use serde::Deserialize;

use super::asking::Ask;
use super::{RemoteError, RemoteRepository};
use crate::egress::Target;

/// Longest page of tags, in bytes.
const MAX_PAGE: usize = 4 << 20;
/// Pages read of one list.
const MAX_PAGES: usize = 200;

impl RemoteRepository {
    /// The tags, at most `limit` of them, in the registry's order. A list that leads back to itself ends there.
    ///
    /// # Errors
    /// [`RemoteError`]; also when the list goes on at another host.
    pub async fn tags(&self, limit: usize) -> Result<Vec<String>, RemoteError> {
        let mut path = self.path(&format!("tags/list?n={}", limit.clamp(1, 1_000)));
        let (mut names, mut known, mut pages) = (Vec::new(), HashSet::new(), HashSet::new());
        while pages.len() < MAX_PAGES && pages.insert(path.clone()) {
            let (headers, body) = self.ask(&Ask::small(Method::GET, &path, None), MAX_PAGE).await?;
            let Ok(page) = serde_json::from_slice::<TagPage>(&body) else {
                return Err(RemoteError::Malformed { what: "list of tags" });
            };
            let before = names.len();
            // Some registries list an empty name; imports take it for the usual one.
            let usable = |name: &String| name.is_empty() || name.parse::<Tag>().is_ok();
            for name in page.tags.unwrap_or_default().into_iter().filter(usable) {
                if names.len() == limit {
                    return Ok(names);
                }
                if known.insert(name.clone()) {
                    names.push(name);
                }
            }
            match next_page(&headers) {
                Some(next) if names.len() > before => path = self.same_origin(&path, next).await?,
                _ => return Ok(names),
            }
        }
        Ok(names)
    }

    /// The path of a link, if it stays at the registry: a list has no reason to go on elsewhere.
    async fn same_origin(&self, path: &str, next: &str) -> Result<String, RemoteError> {
        let base = self.base().await?;
        let from = Target::at(&base.home.origin, path);
        match from.join(next) {
            Some(target) if target.origin == from.origin => Ok(target.path),
            _ => Err(RemoteError::refused("the list of tags goes on at another host")),
        }
    }
}

#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}

/// The target of `Link: <…>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<&str> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = |link: &&str| link.contains("rel=\"next\"") || link.contains("rel=next");
    let link = links.flat_map(|value| value.split(',')).find(next)?;
    link.trim().strip_prefix('<')?.split_once('>').map(|(target, _)| target)
}
