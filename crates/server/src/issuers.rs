//! The documents of outside issuers (discovery, keys), fetched the one way out.

use std::sync::Arc;

use pierhead_auth::federation::{DocumentRequest, FetchDocument};
use pierhead_client::egress::{Ask, Egress};

/// A server that has no document.
#[derive(Debug, thiserror::Error)]
#[error("the answer is {0}")]
struct NoDocument(http::StatusCode);

/// Fetches by `egress`: its rules of addresses, certificates, sizes and times hold.
pub(crate) fn documents(egress: &Egress) -> FetchDocument {
    let egress = egress.clone();
    Arc::new(move |DocumentRequest { url, authority, limit }| {
        let egress = egress.clone();
        Box::pin(async move {
            let answer = egress.ask(Ask { url, form: None, authorization: None, authority, limit }).await?;
            if answer.status == http::StatusCode::OK {
                Ok(answer.body)
            } else {
                Err(NoDocument(answer.status).into())
            }
        })
    })
}
