//! `/v2/<name>/tags/list`: the tags of a repository, in order.

use http::StatusCode;
use http::header::LINK;
use pierhead_images::Images;
use serde_json::json;

use crate::call::Call;
use crate::error::RegistryError;
use crate::page::{MAX_PAGE, Page, next_link};
use crate::response::{self, Response};
use crate::route::Repository;

/// `GET /v2/<name>/tags/list?n=&last=`. Without `n` a page is as long as a page can be; `n=0` is an empty list.
pub(crate) fn get(
    images: &Images,
    call: &Call<'_>,
    repository: &Repository,
) -> Result<Response, RegistryError> {
    let permit = call.permit_pull(repository)?;
    let page = Page::parse(call.query(), MAX_PAGE)?;
    let found = images.tags(&permit, page.last.as_deref(), page.limit)?;
    let body = json!({ "name": repository.as_str(), "tags": found.items });
    let mut response = response::json(StatusCode::OK, &body);
    if let Some(last) = found.items.last().filter(|_| found.more) {
        let path = format!("/v2/{repository}/tags/list");
        let link = next_link(&path, &[("n", &page.limit.to_string()), ("last", last)]);
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}
