//! Payloads made by a generator: the shapes that traffic has, from a tiny request to a large nested reply. In: nothing.
//! Out: texts for the messages of `protos/test/bench.proto`. Always: the same in every run.

use serde_json::{Value, json};

use super::Workload;
use super::sequence::Sequence;

/// The generated payloads, small to large.
pub fn synthetic() -> Vec<Workload> {
    let workload = |name, message, json: Value| Workload {
        name,
        message,
        json: json.to_string(),
    };
    vec![
        workload(
            "tiny",
            "transom.bench.v1.Tiny",
            json!({"id": 1234, "name": "Ada Lovelace", "active": true, "score": 97.5}),
        ),
        workload("small", "transom.bench.v1.Small", small(7)),
        workload("numeric", "transom.bench.v1.Numeric", numeric()),
        workload("strings", "transom.bench.v1.Strings", strings()),
        workload("unicode", "transom.bench.v1.Strings", unicode()),
        workload("nested", "transom.bench.v1.Nested", nested()),
    ]
}

fn address(sequence: &mut Sequence) -> Value {
    json!({
        "street": format!("{} Harbour Street", sequence.below(900)),
        "city": "Rotterdam",
        "postalCode": format!("{} AB", 1000 + sequence.below(9000)),
        "countryCode": "NL",
        "latitude": 51.92,
        "longitude": 4.48,
    })
}

fn small(seed: u64) -> Value {
    let sequence = &mut Sequence(seed);
    json!({
        "id": "9007199254740993",
        "displayName": "Grace Hopper",
        "emailAddress": "grace.hopper@example.com",
        "status": "STATUS_ACTIVE",
        "isVerified": true,
        "loginCount": sequence.below(100_000),
        "createdAtMs": "1732233600123",
        "balance": 1234.56,
        "tags": ["admiral", "compiler", "cobol", "navy"],
        "recentScores": [12, 99, 7, 1024, 65536],
        "labels": {"team": "systems", "tier": "gold", "region": "eu-west"},
        "homeAddress": address(sequence),
        "workAddress": address(sequence),
        "nickname": "Amazing Grace",
        "avatarHash": "3q2+7wECAwQFBgcICQoLDA0ODw==",
        "rating": 4.75,
        "phoneNumber": "+31 10 555 0123",
        "biography": "Wrote the first \"compiler\" and found the first bug.\nKept a nanosecond of wire in her pocket to show how far it goes.",
    })
}

fn numeric() -> Value {
    let sequence = &mut Sequence(1);
    json!({
        "doubles": (0..1500).map(|_| sequence.double()).collect::<Vec<_>>(),
        "bigIntegers": (0..1000).map(|_| sequence.next().to_string()).collect::<Vec<_>>(),
        "integers": (0..1500).map(|_| sequence.below(1 << 31)).collect::<Vec<_>>(),
        "floats": (0..500).map(|_| sequence.eighths()).collect::<Vec<_>>(),
    })
}

/// Prose as services exchange it. One string in eight has a word that is not ASCII, one in eight something that is escaped.
fn strings() -> Value {
    let sequence = &mut Sequence(9);
    let words = [
        "the", "ship", "came", "into", "harbour", "with", "a", "lantern", "at", "its", "transom",
        "and", "two", "sextants", "below", "deck",
    ];
    let foreign = [
        "Ærøskøbing",
        "café",
        "São",
        "naïve",
        "€20",
        "Łódź",
        "平和",
        "😀",
    ];
    let escaped = ["\"quoted\"", "C:\\keel", "first\nsecond", "tab\tstop"];
    let values: Vec<_> = (0..1150)
        .map(|_| {
            let count = 1 + sequence.below(20);
            let mut picked: Vec<_> = (0..count).map(|_| sequence.pick(&words)).collect();
            match sequence.below(8) {
                0 => picked.push(sequence.pick(&foreign)),
                1 => picked.push(sequence.pick(&escaped)),
                _ => {}
            }
            picked.join(" ")
        })
        .collect();
    json!({ "values": values })
}

/// Strings of which nearly each has both what is not ASCII and what is escaped.
fn unicode() -> Value {
    let sequence = &mut Sequence(2);
    let words = [
        "harbour",
        "lantern",
        "Ærøskøbing",
        "keel",
        "平和",
        "transom",
        "\"quoted\"",
        "sextant",
    ];
    let values: Vec<_> = (0..800)
        .map(|_| {
            let count = 1 + sequence.below(20);
            let picked: Vec<_> = (0..count).map(|_| sequence.pick(&words)).collect();
            picked.join(" ")
        })
        .collect();
    json!({ "values": values })
}

fn nested() -> Value {
    let sequence = &mut Sequence(3);
    let orders: Vec<_> = (0..110)
        .map(|number| {
            let lines: Vec<_> = (0..5)
                .map(|_| {
                    json!({
                        "sku": format!("SKU-{:06}", sequence.below(1_000_000)),
                        "quantity": 1 + sequence.below(9),
                        "priceCents": sequence.below(100_000).to_string(),
                        "discount": {"code": "AUTUMN", "percent": 12.5},
                    })
                })
                .collect();
            json!({ "orderId": format!("order-{number}"), "shipTo": address(sequence), "lines": lines })
        })
        .collect();
    json!({ "orders": orders })
}
