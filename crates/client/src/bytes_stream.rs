//! An answer read piece by piece as the server sends it: logs.

use bytes::Bytes;
use http_body_util::BodyExt as _;

use crate::{ApiRequest, Client, ClientError};

/// The body of an answer, arriving.
pub struct BytesStream {
    client: Client,
    body: kube::client::Body,
}

impl Client {
    /// Sends a request and gives the answer's body when its head is there; answers of 400 and above are errors.
    ///
    /// The request timeout bounds the wait for the head, not the body.
    pub async fn stream(&self, request: ApiRequest) -> Result<BytesStream, ClientError> {
        let body = self.open(request).await?.into_body();
        Ok(BytesStream { client: self.clone(), body })
    }
}

impl BytesStream {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(self.client.broken(Box::new(error))),
                None => return Ok(None),
            }
        }
    }
}
