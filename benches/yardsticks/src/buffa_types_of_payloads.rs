//! buffa's types: owned ones to read JSON, views into the protobuf to write it, which is the faster of its two ways. In: a message
//! name. Out: its converters. Always: the types inside of the payloads' `Any` are registered.

use std::sync::Once;

use buffa::type_registry::{TypeRegistry, set_type_registry};
use buffa::{Message as _, MessageView as _};

use crate::Converters;

/// Both directions of an owned type and of the view of the same message.
macro_rules! converters {
    ($owned:ty, $view:ty) => {
        Converters {
            to_wire: |json, out| {
                let message: $owned =
                    serde_json::from_str(json).expect("the caller has checked it");
                message.encode(out);
            },
            to_json: |wire, out| {
                let message = <$view>::decode_view(wire).expect("the caller has checked it");
                serde_json::to_writer(out, &message).expect("the buffer grows");
            },
        }
    };
}

/// The converters of a message.
pub fn buffa(message: &str) -> Option<Converters> {
    use generated::transom::bench::v1 as bench;
    use generated::{etcdserverpb as etcd, google};

    register();
    Some(match message {
        "transom.bench.v1.Tiny" => converters!(bench::Tiny, bench::TinyView<'_>),
        "transom.bench.v1.Small" => converters!(bench::Small, bench::SmallView<'_>),
        "transom.bench.v1.Numeric" => converters!(bench::Numeric, bench::NumericView<'_>),
        "transom.bench.v1.Strings" => converters!(bench::Strings, bench::StringsView<'_>),
        "transom.bench.v1.Nested" => converters!(bench::Nested, bench::NestedView<'_>),
        "google.rpc.Status" => converters!(google::rpc::Status, google::rpc::StatusView<'_>),
        "google.longrunning.Operation" => converters!(
            google::longrunning::Operation,
            google::longrunning::OperationView<'_>
        ),
        "google.logging.v2.WriteLogEntriesRequest" => converters!(
            google::logging::v2::WriteLogEntriesRequest,
            google::logging::v2::WriteLogEntriesRequestView<'_>
        ),
        "google.monitoring.v3.CreateTimeSeriesRequest" => converters!(
            google::monitoring::v3::CreateTimeSeriesRequest,
            google::monitoring::v3::CreateTimeSeriesRequestView<'_>
        ),
        "google.firestore.v1.Document" => converters!(
            google::firestore::v1::Document,
            google::firestore::v1::DocumentView<'_>
        ),
        "etcdserverpb.PutRequest" => converters!(etcd::PutRequest, etcd::PutRequestView<'_>),
        "etcdserverpb.TxnRequest" => converters!(etcd::TxnRequest, etcd::TxnRequestView<'_>),
        "etcdserverpb.RangeResponse" => {
            converters!(etcd::RangeResponse, etcd::RangeResponseView<'_>)
        }
        _ => return None,
    })
}

/// Makes known to buffa what an `Any` may hold.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut registry = TypeRegistry::new();
        buffa_types::register_wkt_types(&mut registry);
        generated::google::rpc::register_types(&mut registry);
        generated::google::r#type::register_types(&mut registry);
        set_type_registry(registry);
    });
}

#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    unused_qualifications,
    unreachable_pub,
    unnameable_types,
    dead_code,
    elided_lifetimes_in_paths,
    single_use_lifetimes,
    unused_lifetimes,
    missing_debug_implementations,
    reason = "generated"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/buffa/mod.rs"));
}
