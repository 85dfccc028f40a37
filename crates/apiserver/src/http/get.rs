//! GET of one object.

use http::StatusCode;

use crate::call::{Answer, Call};
use crate::collection::Collection;
use crate::error::ApiError;

/// `GET …/<resource>/<name>`. A `resourceVersion` in the query is tolerated: the answer is always the newest.
pub(super) fn answer(call: &Call) -> Result<Answer, ApiError> {
    if let Some(answers) = call.resource.kind.answers_get
        && let Some(document) = answers(call)?
    {
        return Ok(Answer::ok(document));
    }
    let document = Collection::of(call)?.get(&call.key())?;
    Ok(Answer::Object { code: StatusCode::OK, document, warnings: Vec::new() })
}
