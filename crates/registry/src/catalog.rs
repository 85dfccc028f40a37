//! `/v2/_catalog`: names of all repositories, for those who may list image streams everywhere.

use http::StatusCode;
use http::header::LINK;
use pierhead_images::Images;
use serde_json::json;

use crate::call::Call;
use crate::error::RegistryError;
use crate::page::{Page, next_link};
use crate::response::{self, Response};

/// Names of a page, if the caller does not say.
const DEFAULT_PAGE: usize = 100;

/// `GET /v2/_catalog?n=&last=`.
pub(crate) fn get(images: &Images, call: &Call<'_>) -> Result<Response, RegistryError> {
    let permit = call.permit_catalog()?;
    let page = Page::parse(call.query(), DEFAULT_PAGE)?;
    if page.limit == 0 {
        return Err(RegistryError::page_number("0"));
    }
    let found = images.catalog(&permit, page.last.as_deref(), page.limit)?;
    let mut response = response::json(StatusCode::OK, &json!({ "repositories": found.items }));
    if let Some(last) = found.items.last().filter(|_| found.more) {
        let link = next_link("/v2/_catalog", &[("n", &page.limit.to_string()), ("last", last)]);
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}
