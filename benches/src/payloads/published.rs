//! Payloads of published APIs: messages of Google's and etcd's schemas, filled as their servers and clients fill them. In: nothing.
//! Out: texts for messages of `protos/google`, `protos/published` and `protos/test/etcd`. Always: the same in every run.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use super::Workload;
use super::sequence::Sequence;

/// The payloads of published APIs.
pub fn published() -> Vec<Workload> {
    let workload = |name, message, json: Value| Workload {
        name,
        message,
        json: json.to_string(),
    };
    vec![
        workload("status", "google.rpc.Status", status()),
        workload("operation", "google.longrunning.Operation", operation()),
        workload(
            "log entries",
            "google.logging.v2.WriteLogEntriesRequest",
            log_entries(),
        ),
        workload(
            "time series",
            "google.monitoring.v3.CreateTimeSeriesRequest",
            time_series(),
        ),
        workload("document", "google.firestore.v1.Document", document()),
        workload("etcd put", "etcdserverpb.PutRequest", etcd_put()),
        workload("etcd txn", "etcdserverpb.TxnRequest", etcd_txn()),
        workload("etcd range", "etcdserverpb.RangeResponse", etcd_range()),
    ]
}

/// A refusal with three details, as Google's servers send it.
fn status() -> Value {
    json!({
        "code": 3,
        "message": "Invalid value at 'instance.disks[0].size_gb' (TYPE_INT64), \"ten\"",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "INVALID_ARGUMENT",
                "domain": "compute.googleapis.com",
                "metadata": {"service": "compute.googleapis.com", "consumer": "projects/123456789"},
            },
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{
                    "field": "instance.disks[0].size_gb",
                    "description": "Invalid value at 'instance.disks[0].size_gb' (TYPE_INT64), \"ten\"",
                }],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
        ],
    })
}

/// A finished operation: metadata and response are messages inside of `Any`.
fn operation() -> Value {
    json!({
        "name": "projects/acme/locations/europe-west4/operations/operation-1732233600123-6b7d1f",
        "metadata": {
            "@type": "type.googleapis.com/google.rpc.RequestInfo",
            "requestId": "6b7d1f2a-90c1-4d2b-8f53-0b9df9c7a411",
            "servingData": "ZXVyb3BlLXdlc3Q0LWM=",
        },
        "done": true,
        "response": {
            "@type": "type.googleapis.com/google.type.PostalAddress",
            "regionCode": "NL",
            "languageCode": "nl",
            "postalCode": "3011 AA",
            "locality": "Rotterdam",
            "addressLines": ["Boompjes 40", "Verdieping 12"],
            "recipients": ["Acme B.V."],
            "organization": "Acme",
        },
    })
}

/// Twenty-four requests as a web server logs them, each with a `Struct` of its own.
fn log_entries() -> Value {
    let sequence = &mut Sequence(4);
    let entries: Vec<_> = (0..24)
        .map(|number| {
            let status = [200, 200, 200, 204, 304, 404, 500][number % 7];
            let path = sequence.pick(&["/v1/books", "/v1/shelves/7", "/healthz", "/v1/carts"]);
            json!({
                "insertId": format!("{:012x}", sequence.next() >> 4),
                "timestamp": format!("2026-11-22T16:{:02}:{:02}.{:06}Z", number, sequence.below(60), sequence.below(1_000_000)),
                "severity": if status < 500 { "INFO" } else { "ERROR" },
                "httpRequest": {
                    "requestMethod": sequence.pick(&["GET", "GET", "GET", "POST"]),
                    "requestUrl": format!("https://shop.example.com{path}?page_size={}", sequence.below(100)),
                    "requestSize": (300 + sequence.below(900)).to_string(),
                    "status": status,
                    "responseSize": sequence.below(60_000).to_string(),
                    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
                    "remoteIp": format!("203.0.113.{}", sequence.below(256)),
                    "latency": format!("0.{:06}s", sequence.below(1_000_000)),
                    "protocol": "HTTP/1.1",
                },
                "jsonPayload": {
                    "message": format!("handled {path}"),
                    "attempt": 1 + sequence.below(3),
                    "cached": sequence.below(2) == 0,
                    "tags": ["web", "eu"],
                    "user": {"id": sequence.below(1_000_000), "plan": sequence.pick(&["free", "pro"])},
                    "error": null,
                },
                "labels": {"pod": format!("web-7d4b9c{:04x}", sequence.below(1 << 16)), "zone": "europe-west4-b"},
                "trace": format!("projects/acme/traces/{:032x}", u128::from(sequence.next()) << 64 | u128::from(sequence.next())),
                "spanId": format!("{:016x}", sequence.next()),
                "traceSampled": number % 4 == 0,
            })
        })
        .collect();
    json!({
        "logName": "projects/acme/logs/web",
        "resource": {"type": "k8s_container", "labels": {"cluster_name": "prod", "namespace_name": "shop", "container_name": "web"}},
        "labels": {"release": "2026.47.1"},
        "entries": entries,
        "partialSuccess": true,
    })
}

/// What an agent reports each minute: forty gauges and counters, and four distributions.
fn time_series() -> Value {
    let sequence = &mut Sequence(5);
    let series: Vec<_> = (0..44)
        .map(|number| {
            let (kind, value) = match number {
                0..20 => ("DOUBLE", json!({"doubleValue": sequence.double()})),
                20..40 => ("INT64", json!({"int64Value": sequence.next().to_string()})),
                _ => ("DISTRIBUTION", json!({"distributionValue": distribution(sequence)})),
            };
            json!({
                "metric": {
                    "type": format!("custom.googleapis.com/shop/metric_{number}"),
                    "labels": {"method": sequence.pick(&["List", "Read", "Create"]), "code": "OK"},
                },
                "resource": {
                    "type": "gce_instance",
                    "labels": {"instance_id": sequence.next().to_string(), "zone": "europe-west4-b", "project_id": "acme"},
                },
                "metricKind": if number % 2 == 0 { "GAUGE" } else { "CUMULATIVE" },
                "valueType": kind,
                "points": [{
                    "interval": {"startTime": "2026-11-22T16:00:00Z", "endTime": "2026-11-22T16:01:00.250Z"},
                    "value": value,
                }],
            })
        })
        .collect();
    json!({"name": "projects/acme", "timeSeries": series})
}

fn distribution(sequence: &mut Sequence) -> Value {
    let counts: Vec<_> = (0..40).map(|_| sequence.below(5_000).to_string()).collect();
    json!({
        "count": sequence.below(100_000).to_string(),
        "mean": sequence.double(),
        "sumOfSquaredDeviation": sequence.double(),
        "bucketOptions": {"exponentialBuckets": {"numFiniteBuckets": 38, "growthFactor": 1.4, "scale": 0.001}},
        "bucketCounts": counts,
    })
}

/// A product in a document database: maps within maps, and each value a oneof of thirteen members.
fn document() -> Value {
    let sequence = &mut Sequence(6);
    let variants: Vec<_> = (0..12)
        .map(|number| {
            json!({"mapValue": {"fields": {
                "sku": {"stringValue": format!("LMP-{number:03}")},
                "stock": {"integerValue": sequence.below(500).to_string()},
                "price": {"doubleValue": sequence.eighths()},
                "available": {"booleanValue": number % 3 != 0},
                "color": {"stringValue": sequence.pick(&["brass", "black", "white", "vert bouteille", "bleu pétrole"])},
                "discontinued": {"nullValue": null},
            }}})
        })
        .collect();
    json!({
        "name": "projects/acme/databases/(default)/documents/products/lamp-42",
        "fields": {
            "title": {"stringValue": "Harbour lamp"},
            "description": {"stringValue": "A lamp of solid brass, made after the lights that used to hang on the quay.\nTurned by hand; each one is a little different. Comes with two metres of \"textile\" cable."},
            "rating": {"doubleValue": 4.625},
            "reviews": {"integerValue": "1284"},
            "created": {"timestampValue": "2024-02-29T08:15:30.123456Z"},
            "maker": {"referenceValue": "projects/acme/databases/(default)/documents/makers/van-dijk"},
            "workshop": {"geoPointValue": {"latitude": 51.9225, "longitude": 4.47917}},
            "thumbnail": {"bytesValue": sequence.base64(600)},
            "categories": {"arrayValue": {"values": [{"stringValue": "lamps"}, {"stringValue": "brass"}, {"stringValue": "gifts"}]}},
            "variants": {"arrayValue": {"values": variants}},
        },
        "createTime": "2024-02-29T08:15:30.654321Z",
        "updateTime": "2026-11-22T16:00:00.000001Z",
    })
}

fn base64(text: &str) -> String {
    STANDARD.encode_to_string(text)
}

/// A lease renewed by a scheduler.
fn etcd_put() -> Value {
    json!({
        "key": base64("/registry/leases/kube-system/kube-scheduler"),
        "value": base64("{\"holderIdentity\":\"node-1_5a0c\",\"leaseDurationSeconds\":15,\"renewTime\":\"2026-11-22T16:00:00.000000Z\"}"),
        "lease": "7587862094529132812",
        "prevKv": true,
    })
}

/// How Kubernetes writes an object: if it is still as it was read, put it, else read it again.
fn etcd_txn() -> Value {
    let sequence = &mut Sequence(7);
    let key = base64("/registry/pods/default/web-7d4b9c6f5-x2x9k");
    json!({
        "compare": [{"result": "EQUAL", "target": "MOD", "key": key, "modRevision": "184467440"}],
        "success": [{"requestPut": {"key": key, "value": sequence.base64(900), "lease": "0"}}],
        "failure": [{"requestRange": {"key": key, "sortOrder": "ASCEND", "sortTarget": "KEY", "limit": "1"}}],
    })
}

/// Thirty objects of a range read: keys and values are bytes, revisions are 64 bits wide.
fn etcd_range() -> Value {
    let sequence = &mut Sequence(8);
    let kvs: Vec<_> = (0..30)
        .map(|_| {
            let created = sequence.below(100_000_000);
            let len = 400 + sequence.below(1200);
            json!({
                "key": base64(&format!("/registry/pods/default/web-7d4b9c6f5-{:05x}", sequence.below(1 << 20))),
                "createRevision": created.to_string(),
                "modRevision": (created + sequence.below(1_000_000)).to_string(),
                "version": (1 + sequence.below(90)).to_string(),
                "value": sequence.base64(len),
            })
        })
        .collect();
    json!({
        "header": {"clusterId": "14841639068965178418", "memberId": "10276657743932975437", "revision": "184467440", "raftTerm": "7"},
        "kvs": kvs,
        "count": "30",
    })
}
