//! Identity providers elsewhere, asked the one way out.

use std::sync::Arc;

use pierhead_auth::web::{Web, WebAnswer, WebRequest};
use pierhead_client::egress::{Ask, Asked, Egress};
use pierhead_runtime::Secret;

/// Most bytes of an answer.
const LIMIT: usize = 256 << 10;

/// Asks by `egress`: its rules of addresses, certificates and times hold.
pub(crate) fn web(egress: &Egress) -> Web {
    let egress = egress.clone();
    Arc::new(move |WebRequest { url, form, authorization, authority }| {
        let egress = egress.clone();
        Box::pin(async move {
            let (form, authorization) =
                (form.map(Secret::into_exposed), authorization.map(Secret::into_exposed));
            let Asked { status, body } =
                egress.ask(Ask { url, form, authorization, authority, limit: LIMIT }).await?;
            Ok(WebAnswer { status: status.as_u16(), body })
        })
    })
}
