//! prost's types with pbjson's serde. In: a message name. Out: its converters. Always: nothing for messages that it has wrong: those
//! that hold an `Any`, of which pbjson writes the bytes instead of the message, and documents of Firestore, of which it drops a null
//! that is a member of a oneof.

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Converters;

/// The converters of a message, if pbjson has its JSON right.
pub fn prost_pbjson(message: &str) -> Option<Converters> {
    use generated::{etcdserverpb, google, transom::bench::v1 as bench};

    Some(match message {
        "transom.bench.v1.Tiny" => converters::<bench::Tiny>(),
        "transom.bench.v1.Small" => converters::<bench::Small>(),
        "transom.bench.v1.Numeric" => converters::<bench::Numeric>(),
        "transom.bench.v1.Strings" => converters::<bench::Strings>(),
        "transom.bench.v1.Nested" => converters::<bench::Nested>(),
        "google.logging.v2.WriteLogEntriesRequest" => {
            converters::<google::logging::v2::WriteLogEntriesRequest>()
        }
        "google.monitoring.v3.CreateTimeSeriesRequest" => {
            converters::<google::monitoring::v3::CreateTimeSeriesRequest>()
        }
        "etcdserverpb.PutRequest" => converters::<etcdserverpb::PutRequest>(),
        "etcdserverpb.TxnRequest" => converters::<etcdserverpb::TxnRequest>(),
        "etcdserverpb.RangeResponse" => converters::<etcdserverpb::RangeResponse>(),
        _ => return None,
    })
}

fn converters<M: Message + Default + Serialize + DeserializeOwned>() -> Converters {
    Converters {
        to_wire: |json, out| {
            let message: M = serde_json::from_str(json).expect("the caller has checked it");
            message.encode(out).expect("the buffer grows");
        },
        to_json: |wire, out| {
            let message = M::decode(wire).expect("the caller has checked it");
            serde_json::to_writer(out, &message).expect("the buffer grows");
        },
    }
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
    reason = "generated"
)]
mod generated {
    macro_rules! generated {
        ($package:literal) => {
            include!(concat!(env!("OUT_DIR"), "/prost/", $package, ".rs"));
            include!(concat!(env!("OUT_DIR"), "/prost/", $package, ".serde.rs"));
        };
    }

    pub mod transom {
        pub mod bench {
            pub mod v1 {
                generated!("transom.bench.v1");
            }
        }
    }
    pub mod etcdserverpb {
        generated!("etcdserverpb");
    }
    pub mod mvccpb {
        generated!("mvccpb");
    }
    pub mod google {
        pub mod api {
            generated!("google.api");
        }
        pub mod firestore {
            pub mod v1 {
                generated!("google.firestore.v1");
            }
        }
        pub mod logging {
            pub mod r#type {
                generated!("google.logging.r#type");
            }
            pub mod v2 {
                generated!("google.logging.v2");
            }
        }
        pub mod monitoring {
            pub mod v3 {
                generated!("google.monitoring.v3");
            }
        }
        pub mod rpc {
            generated!("google.rpc");
        }
        pub mod r#type {
            generated!("google.r#type");
        }
    }
}
