//! Writes answers: objects, lists, tables and Statuses as JSON or YAML.
//!
//! Owns the forms of an object a client may ask for, the legacy spelling on the way out, pretty printing for people
//! with curl (platform 11.10), and that a list of stored objects is written without parsing them.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, USER_AGENT,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use pierhead_api::meta::{ListMeta, PartialObjectMetadata, Status, Table, TableRow};
use pierhead_api::{excerpt, legacy};
use serde_json::{Value, json};

use crate::ResponseBody;
use crate::audit::Named;
use crate::call::{Answer, ListAnswer};
use crate::error::ApiError;
use crate::http::negotiate::{Accept, Encoding, Form};
use crate::kind::Kind;
use crate::path::Prefix;
use crate::query::Query;
use crate::storage::Document;
use crate::tables::{self, Columns};

/// Warnings of one answer.
const MAX_WARNINGS: usize = 50;
/// Bytes of one warning.
const MAX_WARNING: usize = 256;
/// Bytes of all warnings of one answer.
const MAX_WARNING_BYTES: usize = 4096;

/// What the rows of a table carry besides cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowObject {
    Metadata,
    Whole,
    Nothing,
}

/// How the answers to one request are written.
#[derive(Clone)]
pub(crate) struct Style {
    /// What the client wants.
    pub(crate) accept: Accept,
    pretty: bool,
    rows: RowObject,
}

impl Style {
    /// Plain JSON, for answers to requests we could not read.
    pub(crate) fn plain(headers: &HeaderMap, query: &Query) -> Self {
        Self { accept: Accept::JSON, pretty: wants_pretty(headers, query), rows: RowObject::Metadata }
    }

    /// What the request asks for.
    pub(crate) fn read(headers: &HeaderMap, query: &Query) -> Result<Self, ApiError> {
        let rows = match query.get("includeObject") {
            Some("Object") => RowObject::Whole,
            Some("None") => RowObject::Nothing,
            _ => RowObject::Metadata,
        };
        Ok(Self { accept: Accept::read(headers)?, pretty: wants_pretty(headers, query), rows })
    }

    /// A document as bytes, with its media type.
    pub(crate) fn write(&self, document: &Value) -> Result<(Bytes, &'static str), ApiError> {
        if self.accept.encoding == Encoding::Yaml {
            let text = serde_saphyr::to_string(document).map_err(|error| ApiError::internal(&error))?;
            return Ok((text.into(), "application/yaml"));
        }
        let mut bytes = Vec::with_capacity(512);
        if self.pretty {
            serde_json::to_writer_pretty(&mut bytes, document)?;
        } else {
            serde_json::to_writer(&mut bytes, document)?;
        }
        bytes.push(b'\n');
        Ok((bytes.into(), "application/json"))
    }
}

fn wants_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if let Some(value) = query.get("pretty") {
        return value != "false" && value != "0";
    }
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|start| agent.starts_with(start))
}

/// Writes objects of one kind under one prefix.
#[derive(Clone)]
pub(crate) struct Encoder {
    style: Style,
    list_kind: String,
    api_version: String,
    old: bool,
    columns: &'static dyn Columns,
    now: Timestamp,
}

impl Encoder {
    /// For answers about `kind` asked under `prefix`.
    pub(crate) fn new(style: Style, kind: &Kind, prefix: &Prefix, now: Timestamp) -> Self {
        Self {
            style,
            list_kind: format!("{}List", kind.gvk.kind),
            api_version: prefix.api_version(),
            old: prefix.api_version() != kind.api_version(),
            columns: tables::columns_of(&kind.qualified()),
            now,
        }
    }

    /// The same for objects of another kind than the path's, which are written as they are.
    pub(crate) fn foreign(mut self) -> Self {
        self.old = false;
        self.style.accept.form = Form::Object;
        self
    }

    /// How answers are written.
    pub(crate) fn encoding(&self) -> Encoding {
        self.style.accept.encoding
    }

    /// The form objects are shown in.
    pub(crate) fn form(&self) -> Form {
        self.style.accept.form
    }

    /// An object in the spelling of the prefix.
    fn spelled(&self, document: Document) -> Result<Value, ApiError> {
        let mut tree = document.into_tree()?;
        if self.old {
            legacy::to_legacy(&mut tree);
        }
        Ok(tree)
    }

    fn table(
        &self,
        version: &str,
        metadata: ListMeta,
        items: Vec<Document>,
        (header, now): (bool, Timestamp),
    ) -> Result<Value, ApiError> {
        let mut rows = Vec::with_capacity(items.len());
        for item in items {
            let tree = self.spelled(item)?;
            let cells = self.columns.cells(&tree, now);
            let object = match self.style.rows {
                RowObject::Metadata => Some(PartialObjectMetadata::of_value(&tree)),
                RowObject::Whole => Some(tree),
                RowObject::Nothing => None,
            };
            rows.push(TableRow { cells, conditions: Vec::new(), object });
        }
        let column_definitions = if header { self.columns.definitions() } else { Vec::new() };
        Ok(Table { metadata, column_definitions, rows }.to_value_as(version))
    }

    /// One object, in the form asked for.
    pub(crate) fn object(&self, document: Document) -> Result<Value, ApiError> {
        match self.form() {
            Form::Object | Form::Discovery(_) => self.spelled(document),
            Form::Metadata => Ok(PartialObjectMetadata::of_value(&self.spelled(document)?)),
            Form::Table(version) => {
                let tree = document.into_tree()?;
                let resource_version = crate::metadata::text(&tree, "resourceVersion").to_owned();
                let metadata = ListMeta { resource_version, ..ListMeta::default() };
                self.table(version, metadata, vec![Document::Tree(tree)], (true, self.now))
            }
        }
    }

    /// One object of a watch event sent `now`, long after the watch was asked for; only the first row of a table watch
    /// has the columns.
    pub(crate) fn event_object(
        &self,
        document: Document,
        first: bool,
        now: Timestamp,
    ) -> Result<Value, ApiError> {
        match self.form() {
            Form::Table(version) => self.table(version, ListMeta::default(), vec![document], (first, now)),
            Form::Object | Form::Discovery(_) | Form::Metadata => self.object(document),
        }
    }

    /// The object of a BOOKMARK event.
    pub(crate) fn bookmark(&self, kind: &str, metadata: &Value) -> Value {
        match self.form() {
            Form::Table(version) => json!({
                "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata, "columnDefinitions": [], "rows": [],
            }),
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Object | Form::Discovery(_) => {
                json!({"kind": kind, "apiVersion": self.api_version, "metadata": metadata})
            }
        }
    }

    fn list(&self, list: ListAnswer) -> Result<(Bytes, &'static str), ApiError> {
        let (continue_token, remaining) =
            list.continue_token.map(|onward| (onward.token, onward.remaining)).unwrap_or_default();
        let metadata = ListMeta {
            resource_version: list.revision.to_string(),
            continue_token,
            remaining_item_count: remaining.and_then(|count| i64::try_from(count).ok()),
            ..ListMeta::default()
        };
        let (list_kind, api_version, items) = match self.form() {
            Form::Table(version) => {
                return self.style.write(&self.table(version, metadata, list.items, (true, self.now))?);
            }
            Form::Metadata => {
                let items = list.items.into_iter().map(|item| self.object(item)).collect::<Result<_, _>>()?;
                ("PartialObjectMetadataList", "meta.k8s.io/v1", items)
            }
            Form::Object | Form::Discovery(_) => {
                if !self.old && !self.style.pretty && self.style.accept.encoding == Encoding::Json {
                    return self.joined(&metadata, list.items);
                }
                let items =
                    list.items.into_iter().map(|item| self.spelled(item)).collect::<Result<_, _>>()?;
                (self.list_kind.as_str(), self.api_version.as_str(), items)
            }
        };
        let items: Vec<Value> = items;
        self.style.write(&json!({
            "kind": list_kind, "apiVersion": api_version, "metadata": metadata, "items": items,
        }))
    }

    /// The list as stored bytes between commas: most lists are never parsed.
    fn joined(&self, metadata: &ListMeta, items: Vec<Document>) -> Result<(Bytes, &'static str), ApiError> {
        let mut bytes = serde_json::to_vec(&json!({
            "kind": self.list_kind, "apiVersion": self.api_version, "metadata": metadata,
        }))?;
        bytes.pop();
        bytes.extend_from_slice(b",\"items\":[");
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                bytes.push(b',');
            }
            match item {
                Document::Stored(stored) => bytes.extend_from_slice(&stored),
                Document::Tree(tree) => serde_json::to_writer(&mut bytes, &tree)?,
            }
        }
        bytes.extend_from_slice(b"]}\n");
        Ok((bytes.into(), "application/json"))
    }

    /// The response to a call.
    pub(crate) fn respond(&self, answer: Answer) -> Result<Response<ResponseBody>, ApiError> {
        match answer {
            Answer::Object { code, document: Document::Stored(bytes), warnings }
                if self.form() == Form::Object
                    && !self.old
                    && !self.style.pretty
                    && self.style.accept.encoding == Encoding::Json =>
            {
                Ok(warned(respond_bytes(code, bytes, "application/json"), &warnings))
            }
            Answer::Object { code, document, warnings } => {
                let named = named(&document);
                let (bytes, media_type) = self.style.write(&self.object(document)?)?;
                let mut response = warned(respond_bytes(code, bytes, media_type), &warnings);
                if let Some(named) = named {
                    response.extensions_mut().insert(named);
                }
                Ok(response)
            }
            Answer::List(list) => {
                let (bytes, media_type) = self.list(list)?;
                Ok(respond_bytes(StatusCode::OK, bytes, media_type))
            }
            Answer::Status(status) => respond_status(&self.style, &status),
            Answer::Response(response) => Ok(*response),
        }
    }
}

/// Which object an answer is about, for the audit log.
fn named(document: &Document) -> Option<Named> {
    let Document::Tree(tree) = document else { return None };
    let text = |field| crate::metadata::text(tree, field).to_owned();
    let named = Named { name: text("name"), uid: text("uid") };
    (!named.name.is_empty()).then_some(named)
}

/// A Status as a response; its code is the response's.
pub(crate) fn respond_status(style: &Style, status: &Status) -> Result<Response<ResponseBody>, ApiError> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::OK);
    let (bytes, media_type) = style.write(&status.to_value())?;
    let mut response = respond_bytes(code, bytes, media_type);
    if code == StatusCode::FORBIDDEN {
        let name = HeaderName::from_static("x-content-type-options");
        response.headers_mut().insert(name, HeaderValue::from_static("nosniff"));
    }
    if code == StatusCode::UPGRADE_REQUIRED {
        // Which versions are spoken here (RFC 6455 4.2.2).
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    if let Some(seconds) =
        status.details.as_ref().map(|details| details.retry_after_seconds).filter(|s| *s > 0)
    {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// A response of bytes that nobody may cache.
pub(crate) fn respond_bytes(
    code: StatusCode,
    bytes: Bytes,
    media_type: &'static str,
) -> Response<ResponseBody> {
    let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Adds `Warning` headers: all of them, or the first that fit and one that counts the others. Clients give up an answer
/// with too many headers, and would take what was stored for failed.
fn warned(mut response: Response<ResponseBody>, warnings: &[String]) -> Response<ResponseBody> {
    let mut room = MAX_WARNING_BYTES;
    for (index, warning) in warnings.iter().enumerate() {
        let text = excerpt(warning, MAX_WARNING);
        let fits = index < MAX_WARNINGS && text.len() <= room;
        if !fits {
            warn(&mut response, &format!("and {} more warnings", warnings.len() - index));
            break;
        }
        room -= text.len();
        warn(&mut response, &text);
    }
    response
}

fn warn(response: &mut Response<ResponseBody>, text: &str) {
    let text = format!("299 - {}", Value::from(text));
    if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
        response.headers_mut().append("warning", value);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::{MAX_WARNINGS, respond_bytes, warned};

    #[track_caller]
    fn check(warnings: &[String], count: usize, last: &str) {
        let response = warned(respond_bytes(StatusCode::OK, Bytes::new(), "text/plain"), warnings);
        let sent: Vec<&[u8]> =
            response.headers().get_all("warning").iter().map(|value| value.as_bytes()).collect();
        assert_eq!(sent.len(), count);
        assert_eq!(String::from_utf8_lossy(sent.last().unwrap()), format!("299 - \"{last}\""));
        assert!(sent.concat().len() < 8192, "{}", sent.concat().len());
    }

    #[test]
    fn warnings_stay_few_and_short() {
        let many = |count: usize, text: &str| vec![text.to_owned(); count];
        check(&many(1, "ö"), 1, "ö");
        check(&many(MAX_WARNINGS, "a"), MAX_WARNINGS, "a");
        check(&many(MAX_WARNINGS + 1, "a"), MAX_WARNINGS + 1, "and 1 more warnings");
        check(&many(1, &"a".repeat(300)), 1, &format!("{}...", "a".repeat(256)));
        check(&many(40, &"a".repeat(300)), 16, "and 25 more warnings");
    }
}
