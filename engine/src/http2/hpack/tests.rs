//! The examples of RFC 7541 appendix C, and what a block must not be.

use super::decode::Decoded;
use super::*;
use crate::http2::{Fault, HeaderList};

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(|byte| *byte != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn read(
    table: &mut Table,
    section: Section,
    block: &[u8],
) -> (Result<Decoded, Undecoded>, Vec<String>) {
    let mut list = HeaderList::default();
    let decoded = decode(block, section, 16_384, table, &mut list);
    let lines = list
        .iter()
        .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()));
    (decoded, lines.collect())
}

/// The headers of blocks that a connection begins with, `tables` being what its table holds after each, and how long that is.
fn check(blocks: &[&str], tables: &[(&[&str], usize)]) -> Vec<Vec<String>> {
    let mut table = Table::new();
    let mut lists = Vec::new();
    for (block, (lines, len)) in blocks.iter().zip(tables) {
        let (decoded, list) = read(&mut table, Section::Headers, &hexadecimal(block));
        assert!(
            !matches!(decoded, Err(Undecoded::Broken(_))),
            "{block}: {decoded:?}"
        );
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(table.print(), (lines, *len), "{block}");
        lists.push(list);
    }
    assert_eq!(lists.len(), tables.len());
    lists
}

const AUTHORITY: &str = ":authority: www.example.com";
const NO_CACHE: &str = "cache-control: no-cache";
const CUSTOM: &str = "custom-key: custom-value";

/// These are requests: what is read of them is refused, and kept.
#[test]
fn requests_of_appendix_c_3_and_4_are_kept() {
    let plain = [
        "828684 410f 7777772e6578616d706c652e636f6d",
        "828684be 5808 6e6f2d6361636865",
        "828785bf 400a 637573746f6d2d6b6579 0c 637573746f6d2d76616c7565",
    ];
    let coded = [
        "828684 418c f1e3c2e5f23a6ba0ab90f4ff",
        "828684be 5886 a8eb10649cbf",
        "828785bf 4088 25a849e95ba97d7f 89 25a849e95bb8e8b4bf",
    ];
    let tables: [(&[&str], usize); 3] = [
        (&[AUTHORITY], 57),
        (&[NO_CACHE, AUTHORITY], 110),
        (&[CUSTOM, NO_CACHE, AUTHORITY], 164),
    ];
    for blocks in [plain, coded] {
        let lists = check(&blocks, &tables);
        assert_eq!(lists, [vec![], vec![NO_CACHE], vec![CUSTOM]]);
    }
}

/// With a table of 256 bytes, so that headers have to go.
#[test]
fn responses_of_appendix_c_5_and_6_come_and_go() {
    let plain = [
        "3fe101 4803 333032 5807 70726976617465 611d 4d6f6e2c203231204f637420323031332032303a31333a323120474d54 \
         6e17 68747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803 333037 c1 c0 bf",
        "88 c1 611d 4d6f6e2c203231204f637420323031332032303a31333a323220474d54 c0 5a04 677a6970 \
         7738 666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ];
    let coded = [
        "3fe101 4882 6402 5885 aec3771a4b 6196 d07abe941054d444a8200595040b8166e082a62d1bff \
         6e91 9d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883 640eff c1 c0 bf",
        "88 c1 6196 d07abe941054d444a8200595040b8166e084a62d1bff c0 5a83 9bd9ab \
         77ad 94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ];
    let location = "location: https://www.example.com";
    let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    let later = "date: Mon, 21 Oct 2013 20:13:22 GMT";
    let private = "cache-control: private";
    let gzip = "content-encoding: gzip";
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let tables: [(&[&str], usize); 3] = [
        (&[location, date, private, ":status: 302"], 222),
        (&[":status: 307", location, date, private], 222),
        (&[cookie, gzip, later], 215),
    ];
    for blocks in [plain, coded] {
        let lists = check(&blocks, &tables);
        assert_eq!(
            lists,
            [
                vec![private, date, location],
                vec![private, date, location],
                vec![private, later, location, gzip, cookie],
            ]
        );
    }
}

/// Whatever kind of header it is, it is the same when it is met again by number, and when only its name is.
#[test]
fn what_is_kept_is_looked_at_again() {
    let refused = Some(Undecoded::Refused(Fault::Headers));
    let rows: [(&str, bool); 8] = [
        ("40 01 61 01 62", true),
        // A pseudo-header where there must be none, a capital, a zero in the value, one of a connection.
        ("40 05 3a70617468 01 2f", false),
        ("40 01 41 01 62", false),
        ("40 01 61 01 00", false),
        ("40 07 75706772616465 01 62", false),
        ("40 02 7465 08 747261696c657273", true),
        // A length.
        ("5c 01 37", true),
        ("5c 01 78", false),
    ];
    for (field, is_good) in rows {
        let mut table = Table::new();
        for field in [field, "be"] {
            let block = hexadecimal(&format!("88{field}"));
            let (decoded, list) = read(&mut table, Section::Headers, &block);
            if is_good {
                assert_eq!(decoded.unwrap().status, 200, "{field}");
                assert_eq!(list.len(), 1);
            } else {
                assert_eq!(decoded.err(), refused, "{field}");
            }
        }
        let (_, by_name) = read(&mut table, Section::Trailers, &hexadecimal("0f2f 01 63"));
        let is_pseudo = field.contains("3a70617468");
        assert_eq!(by_name.len(), usize::from(!is_pseudo), "{field}");
    }
    // `te` has one value that it may have.
    let mut table = Table::new();
    let block = hexadecimal("88 40 02 7465 08 747261696c657273 7e 01 62");
    let (decoded, _) = read(&mut table, Section::Headers, &block);
    assert_eq!(decoded.err(), refused);
    // Both lengths count.
    let mut table = Table::new();
    let block = hexadecimal("88 5c 01 37 be");
    let (decoded, _) = read(&mut table, Section::Headers, &block);
    assert_eq!(decoded.unwrap().content_len, Some(7));
    let (decoded, _) = read(&mut table, Section::Headers, &hexadecimal("88 5c 01 38 bf"));
    assert_eq!(decoded.err(), refused);
    // A status that is kept is one.
    let mut table = Table::new();
    for block in ["48 03 323031", "be"] {
        let (decoded, list) = read(&mut table, Section::Headers, &hexadecimal(block));
        assert_eq!((decoded.unwrap().status, list.len()), (201, 0));
    }
}

/// THREATS F8: an entry as long as the table, and a block of nothing but its number; and of nothing but its name, each of which pushes out the last.
#[test]
fn few_bytes_that_stand_for_many_end_the_connection() {
    let bomb = [&[0x40][..], &[0x7f, 0xe1, 0x1e], &[b'a'; 4_064], &[0]].concat();
    for repeated in [&[0xbe][..], &[0x7e, 0x00]] {
        for count in [1, 2, 3, 62, 63, 5_000] {
            let mut table = Table::new();
            let mut list = HeaderList::default();
            let block = [&[0x88][..], &bomb, &repeated.repeat(count)].concat();
            let decoded = decode(&block, Section::Headers, 16_384, &mut table, &mut list);
            let expected = match count {
                1 | 2 => None,
                3 | 62 => Some(Undecoded::Refused(Fault::HeadersTooLong)),
                _ => Some(Undecoded::Broken(Fault::HeadersTooLong)),
            };
            assert_eq!(decoded.err(), expected, "{count}");
            // As much as is accepted, and what came last.
            assert!(list.capacity() < 2 * (16_384 + 4_096) + 4_096);
        }
    }
}
