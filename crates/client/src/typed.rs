//! Typed calls: one function per verb of the API.
//!
//! Thin over `Client::send`: path of the kind, JSON in, JSON out. No caching, no retries.

use bytes::Bytes;
use http::Method;
use pierhead_api::{Object, from_value, meta::DeleteOptions, to_value};
use serde_json::Value;

use crate::{ApiRequest, Client, ClientError, Resource};

/// Which objects a list gives.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Label selector, as in `-l`.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
}

/// A change to an object, in one of the forms that servers take.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7386: a part of the object, nulls delete.
    Merge(Value),
    /// Kubernetes' own: lists are merged by key.
    Strategic(Value),
    /// Server-side apply.
    Apply {
        /// The fields the manager wants to own.
        object: Value,
        /// Name of the manager.
        manager: String,
        /// Take fields over from other managers.
        force: bool,
    },
}

impl Patch {
    /// `Content-Type` of the patch.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
            Self::Apply { .. } => "application/apply-patch+yaml",
        }
    }

    fn body(&self) -> &Value {
        match self {
            Self::Json(value) | Self::Merge(value) | Self::Strategic(value) => value,
            Self::Apply { object, .. } => object,
        }
    }
}

/// Objects asked for at once; servers may give fewer.
const PAGE: usize = 500;

impl Client {
    /// Reads one object.
    pub async fn get<K: Object>(&self, namespace: Option<&str>, name: &str) -> Result<K, ClientError> {
        let path = Resource::of::<K>().item(namespace, name, None);
        typed(&path, &self.request(Method::GET, &path, None, None).await?)
    }

    /// Reads one object; none if the server says 404.
    pub async fn find<K: Object>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<K>, ClientError> {
        match self.get(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a namespace, or of all namespaces.
    pub async fn list<K: Object>(&self, namespace: Option<&str>) -> Result<Vec<K>, ClientError> {
        self.list_matching(namespace, &ListQuery::default()).await
    }

    /// Reads the objects that match, page by page.
    pub async fn list_matching<K: Object>(
        &self,
        namespace: Option<&str>,
        query: &ListQuery,
    ) -> Result<Vec<K>, ClientError> {
        let path = Resource::of::<K>().collection(namespace);
        let mut objects = Vec::new();
        let mut token = String::new();
        loop {
            let page = page_path(&path, query, &token);
            let mut list = self.request(Method::GET, &page, None, None).await?;
            let next = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
            token = next.to_owned();
            if let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) {
                for item in items {
                    objects.push(typed(&path, &item)?);
                }
            }
            if token.is_empty() {
                return Ok(objects);
            }
        }
    }

    /// Creates an object; gives it as the server stored it.
    pub async fn create<K: Object>(&self, namespace: Option<&str>, object: &K) -> Result<K, ClientError> {
        let path = Resource::of::<K>().collection(namespace);
        typed(&path, &self.request(Method::POST, &path, None, Some(&to_value(object))).await?)
    }

    /// Replaces an object. With a resource version in its metadata, only that version is replaced.
    pub async fn replace<K: Object>(&self, namespace: Option<&str>, object: &K) -> Result<K, ClientError> {
        self.put(namespace, object, None).await
    }

    /// Replaces the status of an object.
    pub async fn replace_status<K: Object>(
        &self,
        namespace: Option<&str>,
        object: &K,
    ) -> Result<K, ClientError> {
        self.put(namespace, object, Some("status")).await
    }

    async fn put<K: Object>(
        &self,
        namespace: Option<&str>,
        object: &K,
        subresource: Option<&str>,
    ) -> Result<K, ClientError> {
        let path = Resource::of::<K>().item(namespace, &object.metadata().name, subresource);
        typed(&path, &self.request(Method::PUT, &path, None, Some(&to_value(object))).await?)
    }

    /// Changes an object, or a subresource of it.
    pub async fn patch<K: Object>(
        &self,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
        subresource: Option<&str>,
    ) -> Result<K, ClientError> {
        let mut path = Resource::of::<K>().item(namespace, name, subresource);
        if let Patch::Apply { manager, force, .. } = patch {
            path = format!("{path}?fieldManager={}&force={force}", query_escape(manager));
        }
        let answer =
            self.request(Method::PATCH, &path, Some(patch.content_type()), Some(patch.body())).await?;
        typed(&path, &answer)
    }

    /// Deletes an object; gives what the server answers: a `Status`, or the object that is going.
    pub async fn delete<K: Object>(
        &self,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Value, ClientError> {
        let path = Resource::of::<K>().item(namespace, name, None);
        let body = serde_json::to_vec(options).map_err(ClientError::Encode)?;
        let request = ApiRequest::new(Method::DELETE, path.clone(), Bytes::from(body));
        self.send(request).await?.json(&path)
    }
}

fn typed<K: Object>(path: &str, value: &Value) -> Result<K, ClientError> {
    from_value(value).map_err(|source| ClientError::Object { path: path.to_owned(), source })
}

fn page_path(path: &str, query: &ListQuery, token: &str) -> String {
    let mut page = format!("{path}?limit={PAGE}");
    for (key, value) in [
        ("labelSelector", query.labels.as_deref()),
        ("fieldSelector", query.fields.as_deref()),
        ("continue", Some(token).filter(|token| !token.is_empty())),
    ] {
        if let Some(value) = value {
            page.push_str(&format!("&{key}={}", query_escape(value)));
        }
    }
    page
}

fn query_escape(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}
