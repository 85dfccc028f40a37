//! The OAuth server's place in this crate: every path below `/oauth`, `/login` and the metadata document.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts as Head;
use pierhead_api::meta::Status;

use crate::ResponseBody;
use crate::http::respond::{Style, respond_status};
use crate::query::Query;
use crate::server::Parts;

/// Answers a request of the OAuth flow. The caller is not authenticated yet.
pub(crate) async fn serve(_: &Arc<Parts>, head: Head, _: Bytes) -> Response<ResponseBody> {
    let style = Style::plain(&head.headers, &Query::default());
    std::future::ready(respond_status(&style, &Status::not_found_path())).await.unwrap_or_default()
}
