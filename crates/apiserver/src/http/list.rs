//! GET of a collection.

use crate::call::{Answer, Call, ListAnswer};
use crate::collection::{Collection, Selector};
use crate::error::ApiError;
use crate::path::Prefix;
use crate::query::ListOptions;

/// `GET …/<resource>`, with selectors, in chunks where a limit is given.
pub(super) async fn answer(call: &Call) -> Result<Answer, ApiError> {
    let options = ListOptions::parse(&call.query, false)?;
    let selector = selector(call, &options)?;
    let page = Collection::of(call)?.list(call.path.namespace.as_deref(), &selector, &options).await?;
    Ok(Answer::List(ListAnswer {
        items: page.items.into_iter().map(|(_, document)| document).collect(),
        revision: page.revision,
        continue_token: page.continue_token,
    }))
}

/// The selectors of a request, with the field labels of its kind and prefix.
pub(super) fn selector(call: &Call, options: &ListOptions) -> Result<Selector, ApiError> {
    let old = call.path.prefix == Prefix::Legacy;
    Selector::parse(&call.resource.kind, old, &options.label_selector, &options.field_selector)
}
