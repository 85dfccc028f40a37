//! `get`: show objects.

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use pierhead_api::meta::{Table, TableColumnDefinition};
use pierhead_client::{ApiRequest, Client, ClientError, WatchEventKind};
use serde_json::{Value, json};

use crate::{
    discovery::ApiKind,
    environment::ExitStatus,
    manifest, object,
    print::{
        jsonpath::JsonPath,
        output::{Form, OutputArgs, print_objects},
        table::{self, TableStyle},
    },
    resource_args::{self, Selection, Target},
    session::Session,
    tally::Tally,
};

const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// Show objects as a table, as YAML or JSON, or by a template
///
/// Examples:
///   get is                        image streams of the project
///   get secrets,sa                several kinds
///   get all                       everything of the category
///   get is/myimage -o yaml        one object
///   get projects -o jsonpath='{range .items[*]}{.metadata.name}{"\n"}{end}'
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct GetArgs {
    /// TYPE [NAME…] | TYPE/NAME… | TYPE,TYPE | all
    #[arg(value_name = "TYPE")]
    words: Vec<String>,
    #[command(flatten)]
    files: manifest::FileArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Look into all projects
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only objects with these fields
    #[arg(long, value_name = "SELECTOR")]
    field_selector: Option<String>,
    /// Leave out the header line
    #[arg(long)]
    no_headers: bool,
    /// Show all labels in a last column
    #[arg(long)]
    show_labels: bool,
    /// Show these labels in columns of their own
    #[arg(short = 'L', long, value_delimiter = ',', value_name = "LABEL")]
    label_columns: Vec<String>,
    /// Show the kind before each name
    #[arg(long)]
    show_kind: bool,
    /// Sort by the value at this path
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,
    /// Go on showing changes
    #[arg(short = 'w', long)]
    watch: bool,
    /// Show changes only
    #[arg(long)]
    watch_only: bool,
    /// Say of each change whether the object is new, changed or gone
    #[arg(long)]
    output_watch_events: bool,
    /// Let the server make the tables
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    server_print: bool,
    /// Show this subresource
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
    /// Ask for so many objects at once
    #[arg(long, default_value_t = 500, value_name = "N")]
    chunk_size: usize,
    /// Missing objects are not an error
    #[arg(long)]
    ignore_not_found: bool,
    /// Print the body of this path of the server
    #[arg(long, value_name = "PATH")]
    raw: Option<String>,
}

pub(crate) async fn run(args: GetArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    if let Some(path) = &args.raw {
        let answer = session.client()?.send(ApiRequest::get(path.as_str())).await?;
        session.print_data(&String::from_utf8_lossy(&answer.body))?;
        return Ok(ExitStatus::SUCCESS);
    }
    let form = args.output.form(session)?;
    let client = session.client()?;
    let discovery = session.discovery().await?;
    let selection = if args.files.is_empty() {
        resource_args::parse(&discovery, &args.words)?
    } else {
        let mut targets = Vec::new();
        for document in args.files.read(session).await? {
            let kind = discovery.of_document(&document)?.clone();
            targets.push(Target { kind, name: Some(manifest::name_of(&document)?.to_owned()) });
        }
        Selection { targets, several_kinds: false }
    };
    let namespace = session.namespace()?;
    let view = View { args, client, namespace, form };
    if view.args.watch || view.args.watch_only {
        return view.watch(&selection, session).await;
    }
    match &view.form {
        Form::Table { wide } => view.show_tables(&selection, *wide, session).await,
        _ => view.show_objects(&selection, session).await,
    }
}

/// The question, ready to be asked for one kind after the other.
struct View {
    args: GetArgs,
    client: Client,
    namespace: String,
    form: Form,
}

impl View {
    fn path(&self, target: &Target, extra: &str, token: &str) -> String {
        let resource = target.kind.resource();
        let namespace = (!self.args.all_namespaces).then_some(self.namespace.as_str());
        if let Some(name) = &target.name {
            let query = if extra.is_empty() { String::new() } else { format!("?{extra}") };
            return format!("{}{query}", resource.item(namespace, name, self.args.subresource.as_deref()));
        }
        let mut query = form_urlencoded::Serializer::new(extra.to_owned());
        for (key, value) in
            [("labelSelector", &self.args.selector), ("fieldSelector", &self.args.field_selector)]
        {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        if self.args.chunk_size > 0 && !extra.contains("watch=") {
            query.append_pair("limit", &self.args.chunk_size.to_string());
        }
        if !token.is_empty() {
            query.append_pair("continue", token);
        }
        format!("{}?{}", resource.collection(namespace), query.finish())
    }

    /// All pages of a target, in the form that `accept` asks for.
    async fn fetch(&self, target: &Target, accept: &str, extra: &str) -> Result<Vec<Value>, ClientError> {
        let mut pages = Vec::new();
        let mut token = String::new();
        loop {
            let path = self.path(target, extra, &token);
            let page = self.client.send(ApiRequest::get(path.as_str()).accept(accept)).await?.json(&path)?;
            object::text(&page, "metadata.continue").clone_into(&mut token);
            pages.push(page);
            if token.is_empty() || target.name.is_some() {
                return Ok(pages);
            }
        }
    }

    /// What is asked for where a table is shown.
    const fn table_type(&self) -> &'static str {
        if self.args.server_print { AS_TABLE } else { "application/json" }
    }

    fn style(&self, wide: bool, kind: &ApiKind, several_kinds: bool) -> TableStyle {
        TableStyle {
            wide,
            no_headers: self.args.no_headers,
            show_labels: self.args.show_labels,
            label_columns: self.args.label_columns.clone(),
            with_namespace: self.args.all_namespaces && kind.namespaced,
            with_kind: several_kinds || self.args.show_kind,
        }
    }

    async fn show_tables(
        &self,
        selection: &Selection,
        wide: bool,
        session: &mut Session,
    ) -> anyhow::Result<ExitStatus> {
        let now = (session.environment.now)();
        let mut tally = Tally::default();
        let mut groups: Vec<(ApiKind, Vec<Table>)> = Vec::new();
        let extra = if self.args.sort_by.is_some() { "includeObject=Object" } else { "" };
        for target in &selection.targets {
            match self.fetch(target, self.table_type(), extra).await {
                Ok(pages) => {
                    tally.note(anyhow::Ok(()));
                    let tables = pages.iter().map(|page| table::of_answer(page, &target.kind.kind, now));
                    match groups.last_mut().filter(|(kind, _)| *kind == target.kind) {
                        Some((_, group)) => group.extend(tables),
                        None => groups.push((target.kind.clone(), tables.collect())),
                    }
                }
                Err(error) if self.args.ignore_not_found && error.is_not_found() => {}
                Err(error) => {
                    tally.note(Err::<(), _>(error));
                }
            }
        }
        groups.retain(|(_, tables)| tables.iter().any(|table| !table.rows.is_empty()));
        for (position, (kind, tables)) in groups.iter_mut().enumerate() {
            if position > 0 {
                session.print("\n")?;
            }
            if let Some(path) = &self.args.sort_by {
                sort_rows(tables, path)?;
            }
            let style = self.style(wide, kind, selection.several_kinds);
            session.print_table(&table::render(kind, tables, &style), !style.no_headers)?;
        }
        if groups.is_empty() && !tally.has_failures() && !self.args.ignore_not_found {
            let namespaced = selection.targets.iter().any(|target| target.kind.namespaced);
            if namespaced && !self.args.all_namespaces {
                session.remark(&format!("No resources found in {} namespace.", self.namespace))?;
            } else {
                session.remark("No resources found")?;
            }
        }
        tally.finish(session)
    }

    async fn show_objects(&self, selection: &Selection, session: &mut Session) -> anyhow::Result<ExitStatus> {
        let mut tally = Tally::default();
        let mut objects = Vec::new();
        for target in &selection.targets {
            match self.fetch(target, "application/json", "").await {
                Ok(pages) => {
                    tally.note(anyhow::Ok(()));
                    for page in pages {
                        collect(&target.kind, page, &mut objects);
                    }
                }
                Err(error) if self.args.ignore_not_found && error.is_not_found() => {}
                Err(error) => {
                    tally.note(Err::<(), _>(error));
                }
            }
        }
        if let Some(path) = &self.args.sort_by {
            sort_objects(&mut objects, path)?;
        }
        let single = matches!(selection.targets.as_slice(), [Target { name: Some(_), .. }]);
        let nothing_to_show = objects.is_empty() && (single || tally.has_failures());
        if !nothing_to_show {
            print_objects(session, &self.form, objects, !single, self.args.output.show_managed_fields)?;
        }
        tally.finish(session)
    }

    async fn watch(&self, selection: &Selection, session: &mut Session) -> anyhow::Result<ExitStatus> {
        let [target] = selection.targets.as_slice() else {
            bail!("you may only specify a single resource type")
        };
        let now = session.environment.now;
        let wide = matches!(self.form, Form::Table { wide: true });
        let is_table = matches!(self.form, Form::Table { .. });
        let accept = if is_table { self.table_type() } else { "application/json" };
        let mut style = self.style(wide, &target.kind, false);
        let mut version = String::new();
        let (mut columns, mut widths) = (Vec::new(), Vec::new());
        if !self.args.watch_only {
            for page in self.fetch(target, accept, "").await? {
                object::text(&page, "metadata.resourceVersion").clone_into(&mut version);
                if is_table {
                    let mut table = table::of_answer(&page, &target.kind.kind, now());
                    columns.clone_from(&table.column_definitions);
                    if self.args.output_watch_events {
                        add_event_column(&mut table, WatchEventKind::Added);
                    }
                    if !table.rows.is_empty() {
                        let shown = table::render_below(&target.kind, table, &style, &mut widths);
                        session.print_table(&shown, !style.no_headers)?;
                        style.no_headers = true;
                    }
                } else {
                    let mut objects = Vec::new();
                    collect(&target.kind, page, &mut objects);
                    self.print_each(objects, session)?;
                }
                session.environment.stdout.flush()?;
            }
        }
        let everything = Target { kind: target.kind.clone(), name: None };
        let mut extra = form_urlencoded::Serializer::new("watch=true".to_owned());
        if !version.is_empty() && version != "0" {
            extra.append_pair("resourceVersion", &version);
        }
        if let Some(name) = &target.name {
            extra.append_pair("fieldSelector", &format!("metadata.name={name}"));
        }
        let path = self.path(&everything, &extra.finish(), "");
        let mut stream = self.client.watch(ApiRequest::get(path).accept(accept)).await?;
        while let Some(event) = stream.next().await? {
            match event.kind {
                WatchEventKind::Bookmark => continue,
                WatchEventKind::Error => {
                    bail!("the watch ended: {}", object::text(&event.object, "message"))
                }
                WatchEventKind::Added | WatchEventKind::Modified | WatchEventKind::Deleted => {}
            }
            if is_table {
                let mut table = table::of_answer(&event.object, &target.kind.kind, now());
                if table.column_definitions.is_empty() {
                    table.column_definitions.clone_from(&columns);
                } else {
                    columns.clone_from(&table.column_definitions);
                }
                if self.args.output_watch_events {
                    add_event_column(&mut table, event.kind);
                }
                let shown = table::render_below(&target.kind, table, &style, &mut widths);
                session.print_table(&shown, !style.no_headers)?;
                style.no_headers = true;
            } else if self.args.output_watch_events {
                let shown = json!({"type": event_name(event.kind), "object": event.object});
                self.print_each(vec![shown], session)?;
            } else {
                self.print_each(vec![event.object], session)?;
            }
            session.environment.stdout.flush()?;
        }
        Ok(ExitStatus::SUCCESS)
    }

    fn print_each(&self, objects: Vec<Value>, session: &mut Session) -> anyhow::Result<()> {
        for object in objects {
            print_objects(session, &self.form, vec![object], false, self.args.output.show_managed_fields)?;
        }
        Ok(())
    }
}

fn event_name(kind: WatchEventKind) -> &'static str {
    match kind {
        WatchEventKind::Added => "ADDED",
        WatchEventKind::Modified => "MODIFIED",
        WatchEventKind::Deleted => "DELETED",
        WatchEventKind::Bookmark => "BOOKMARK",
        WatchEventKind::Error => "ERROR",
    }
}

/// What happened, before everything else (`--output-watch-events`).
fn add_event_column(table: &mut Table, kind: WatchEventKind) {
    let column = TableColumnDefinition { name: "Event".to_owned(), ..TableColumnDefinition::default() };
    table.column_definitions.insert(0, column);
    for row in &mut table.rows {
        row.cells.insert(0, Value::from(event_name(kind)));
    }
}

/// Adds the objects of an answer; items of lists get the kind that only the list says.
fn collect(kind: &ApiKind, mut answer: Value, objects: &mut Vec<Value>) {
    if !object::is_list(&answer) {
        objects.push(answer);
        return;
    }
    if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
        for mut item in items {
            if object::text(&item, "kind").is_empty() {
                object::set_text(&mut item, "apiVersion", &kind.api_version());
                object::set_text(&mut item, "kind", &kind.kind);
            }
            objects.push(item);
        }
    }
}

fn sort_rows(tables: &mut Vec<Table>, path: &str) -> anyhow::Result<()> {
    let mut merged = tables.first().cloned().unwrap_or_default();
    merged.rows = tables.drain(..).flat_map(|table| table.rows).collect();
    let nothing = Value::Null;
    let path = parse_sort_path(path)?;
    let mut keyed = Vec::with_capacity(merged.rows.len());
    for row in merged.rows {
        keyed.push((sort_key(&path, row.object.as_ref().unwrap_or(&nothing))?, row));
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref()));
    merged.rows = keyed.into_iter().map(|(_, row)| row).collect();
    tables.push(merged);
    Ok(())
}

fn sort_objects(objects: &mut Vec<Value>, path: &str) -> anyhow::Result<()> {
    let path = parse_sort_path(path)?;
    let mut keyed = Vec::with_capacity(objects.len());
    for object in objects.drain(..) {
        keyed.push((sort_key(&path, &object)?, object));
    }
    keyed.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref()));
    objects.extend(keyed.into_iter().map(|(_, object)| object));
    Ok(())
}

fn parse_sort_path(path: &str) -> anyhow::Result<JsonPath> {
    JsonPath::parse_relaxed(path).with_context(|| format!("sort path {path:?}"))
}

fn sort_key(path: &JsonPath, object: &Value) -> anyhow::Result<Option<Value>> {
    Ok(path.find(object)?.first().map(|value| (*value).clone()))
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal)
        }
        (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Reads one object as the server sends it.
pub(crate) async fn read(
    client: &Client,
    kind: &ApiKind,
    namespace: &str,
    name: &str,
) -> Result<Value, ClientError> {
    let path = kind.resource().item(Some(namespace), name, None);
    client.request(Method::GET, &path, None, None).await
}

/// Reads all objects of a kind, with the query's `key=value` pairs.
pub(crate) async fn read_all(
    client: &Client,
    kind: &ApiKind,
    namespace: Option<&str>,
    query: &[(&str, &str)],
) -> Result<Vec<Value>, ClientError> {
    let mut objects = Vec::new();
    let mut token = String::new();
    loop {
        let mut serializer = form_urlencoded::Serializer::new(String::new());
        serializer.append_pair("limit", "500").extend_pairs(query);
        if !token.is_empty() {
            serializer.append_pair("continue", &token);
        }
        let path = format!("{}?{}", kind.resource().collection(namespace), serializer.finish());
        let page = client.request(Method::GET, &path, None, None).await?;
        object::text(&page, "metadata.continue").clone_into(&mut token);
        collect(kind, page, &mut objects);
        if token.is_empty() {
            return Ok(objects);
        }
    }
}
