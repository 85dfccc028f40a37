//! Columns of the core group's kinds.

use jiff::Timestamp;
use pierhead_api::age;
use pierhead_api::core::{ConfigMap, Endpoints, Event, Secret, Service, ServiceAccount};
use pierhead_api::meta::Time;
use serde_json::Value;

use super::{Column, ColumnSet, Sets, age_of, name, or_none, some_of, typed};
use crate::kinds::event_core_form as core_form;

/// How many endpoints fit into a cell.
const SHOWN_ENDPOINTS: usize = 3;

pub(super) const SETS: Sets = &[
    (
        "secrets",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Type"), Column::number("Data"), Column::AGE],
            cells: |object, now| {
                let secret: Secret = typed(object);
                vec![name(object), secret.secret_type.into(), secret.data.len().into(), age_of(object, now)]
            },
        },
    ),
    (
        "serviceaccounts",
        ColumnSet {
            columns: &[Column::NAME, Column::number("Secrets"), Column::AGE],
            cells: |object, now| {
                let account: ServiceAccount = typed(object);
                vec![name(object), account.secrets.len().into(), age_of(object, now)]
            },
        },
    ),
    (
        "configmaps",
        ColumnSet {
            columns: &[Column::NAME, Column::number("Data"), Column::AGE],
            cells: |object, now| {
                let map: ConfigMap = typed(object);
                vec![name(object), (map.data.len() + map.binary_data.len()).into(), age_of(object, now)]
            },
        },
    ),
    (
        "namespaces",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Status"), Column::AGE],
            cells: |object, now| {
                let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
                vec![name(object), phase.into(), age_of(object, now)]
            },
        },
    ),
    (
        "services",
        ColumnSet {
            columns: &[
                Column::NAME,
                Column::text("Type"),
                Column::text("Cluster-IP"),
                Column::text("External-IP"),
                Column::text("Port(s)"),
                Column::AGE,
                Column::text("Selector").wide(),
            ],
            cells: service,
        },
    ),
    (
        "endpoints",
        ColumnSet {
            columns: &[Column::NAME, Column::text("Endpoints"), Column::AGE],
            cells: |object, now| vec![name(object), endpoints(&typed(object)), age_of(object, now)],
        },
    ),
    ("events", ColumnSet { columns: EVENT, cells: event }),
    (
        "events.events.k8s.io",
        ColumnSet { columns: EVENT, cells: |object, now| event(&core_form(object.clone()), now) },
    ),
];

const EVENT: &[Column] = &[
    Column::text("Last Seen"),
    Column::text("Type"),
    Column::text("Reason"),
    Column::text("Object"),
    Column::text("Subobject").wide(),
    Column::text("Source").wide(),
    Column::text("Message"),
    Column::text("First Seen").wide(),
    Column::number("Count").wide(),
    Column { name: "Name", column_type: "string", format: "name", wide: true },
];

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let service: Service = typed(object);
    let ports: Vec<String> = service
        .spec
        .ports
        .iter()
        .map(|port| match port.node_port {
            0 => format!("{}/{}", port.port, port.protocol),
            node => format!("{}:{node}/{}", port.port, port.protocol),
        })
        .collect();
    let selector: Vec<String> =
        service.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        name(object),
        service.spec.service_type.clone().into(),
        or_none(service.spec.cluster_ip.clone()),
        external_address(&service),
        or_none(ports.join(",")),
        age_of(object, now),
        or_none(selector.join(",")),
    ]
}

fn external_address(service: &Service) -> Value {
    let addresses = service.spec.external_ips.join(",");
    match service.spec.service_type.as_str() {
        "ExternalName" => service.spec.external_name.clone().into(),
        "LoadBalancer" => {
            let ingress = &service.status.load_balancer.ingress;
            let given = ingress.iter().map(|one| if one.ip.is_empty() { &one.hostname } else { &one.ip });
            let all: Vec<&String> = given.chain(&service.spec.external_ips).collect();
            if all.is_empty() {
                return "<pending>".into();
            }
            all.into_iter().map(String::as_str).collect::<Vec<_>>().join(",").into()
        }
        _ => or_none(addresses),
    }
}

fn endpoints(endpoints: &Endpoints) -> Value {
    let mut addresses = Vec::new();
    for subset in &endpoints.subsets {
        if subset.ports.is_empty() {
            addresses.extend(subset.addresses.iter().map(|address| address.ip.clone()));
        }
        for port in &subset.ports {
            addresses.extend(subset.addresses.iter().map(|address| match address.ip.contains(':') {
                true => format!("[{}]:{}", address.ip, port.port),
                false => format!("{}:{}", address.ip, port.port),
            }));
        }
    }
    some_of(&addresses, SHOWN_ENDPOINTS)
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let event: Event = typed(object);
    let first = event.first_timestamp.or(event.event_time.map(|time| Time(time.0)));
    let repeated =
        event.series.as_ref().and_then(|series| series.last_observed_time).map(|time| Time(time.0));
    let last = repeated.or(event.last_timestamp).or(first);
    let count = event.series.as_ref().map_or(event.count, |series| series.count).max(1);
    let involved = &event.involved_object;
    let source = if event.source.host.is_empty() {
        event.source.component.clone()
    } else {
        format!("{}, {}", event.source.component, event.source.host)
    };
    let source = if source.is_empty() { event.reporting_component.clone() } else { source };
    vec![
        age::short_since(last, now).into(),
        event.event_type.into(),
        event.reason.into(),
        format!("{}/{}", involved.kind.to_lowercase(), involved.name).into(),
        involved.field_path.clone().into(),
        source.into(),
        event.message.trim().into(),
        age::short_since(first, now).into(),
        count.into(),
        name(object),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tables::tests::check;

    #[test]
    fn prints_core_kinds() {
        let created = "2016-05-01T11:55:00Z";
        check(
            "secrets",
            json!({"metadata": {"name": "a", "creationTimestamp": created}, "type": "Opaque", "data": {"x": "", "y": ""}}),
            &[("Name", "a"), ("Type", "Opaque"), ("Data", "2"), ("Age", "5m")],
        );
        check(
            "serviceaccounts",
            json!({"metadata": {"name": "builder"}, "secrets": [{"name": "a"}]}),
            &[("Name", "builder"), ("Secrets", "1"), ("Age", "<unknown>")],
        );
        check(
            "services",
            json!({
                "metadata": {"name": "docker-registry", "creationTimestamp": "2016-04-28T10:00:00Z"},
                "spec": {
                    "type": "ClusterIP", "clusterIP": "172.30.1.1", "selector": {"docker-registry": "default"},
                    "ports": [{"port": 5000, "protocol": "TCP"}, {"port": 80, "nodePort": 30080, "protocol": "TCP"}],
                },
            }),
            &[
                ("Name", "docker-registry"),
                ("Type", "ClusterIP"),
                ("Cluster-IP", "172.30.1.1"),
                ("External-IP", "<none>"),
                ("Port(s)", "5000/TCP,80:30080/TCP"),
                ("Age", "3d2h"),
                ("[Selector]", "docker-registry=default"),
            ],
        );
        let addresses: Vec<_> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        check(
            "endpoints",
            json!({"metadata": {"name": "e"}, "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]}),
            &[
                ("Name", "e"),
                ("Endpoints", "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."),
                ("Age", "<unknown>"),
            ],
        );
    }

    #[test]
    fn prints_events() {
        check(
            "events",
            json!({
                "metadata": {"name": "e.1"}, "involvedObject": {"kind": "ImageStream", "name": "hello"},
                "type": "Warning", "reason": "Failed", "message": "no\n", "source": {"component": "importer"},
                "firstTimestamp": "2016-05-01T11:00:00Z", "lastTimestamp": "2016-05-01T11:59:30Z", "count": 4,
            }),
            &[
                ("Last Seen", "30s"),
                ("Type", "Warning"),
                ("Reason", "Failed"),
                ("Object", "imagestream/hello"),
                ("[Subobject]", ""),
                ("[Source]", "importer"),
                ("Message", "no"),
                ("[First Seen]", "60m"),
                ("[Count]", "4"),
                ("[Name]", "e.1"),
            ],
        );
    }
}
