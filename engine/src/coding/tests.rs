//! Codings there and back, their limits, and what is none.

use super::*;

const ALL: [Coding; 4] = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];

fn encode(coding: Coding, plain: &[u8]) -> Vec<u8> {
    let mut coded = b"before".to_vec();
    assert!(coding.encode(plain, &mut coded));
    coded.split_off(6)
}

fn decode(coding: Coding, coded: &[u8], len_max: usize) -> Result<Vec<u8>, ErrorKind> {
    let mut out = b"before".to_vec();
    let decoded = coding.decode(coded, len_max, &mut out);
    let rest = out.split_off(6);
    assert!(
        decoded.is_ok() || rest.is_empty(),
        "an error leaves nothing behind"
    );
    decoded.map(|()| rest).map_err(|error| error.kind)
}

#[test]
fn bodies_come_back_as_they_were() {
    for coding in ALL {
        for plain in [&b""[..], b"{}", &b"{\"a\":[1,2,3]}".repeat(10_000)] {
            let coded = encode(coding, plain);
            assert!(
                decode(coding, &coded, plain.len()).as_deref() == Ok(plain),
                "{coding:?}"
            );
        }
        assert!(encode(coding, &[b'a'; 10_000]).len() < 200, "{coding:?}");
    }
}

#[test]
fn bombs_are_refused_at_the_limit() {
    let bomb = vec![b' '; 50 * 1024 * 1024];
    for coding in ALL {
        let coded = encode(coding, &bomb);
        assert!(coded.len() < 60_000, "{coding:?}: {}", coded.len());
        let mut out = Vec::new();
        let refused = coding.decode(&coded, 4096, &mut out);
        assert_eq!(refused, Err(Error::request(ErrorKind::BodyTooLarge)));
        assert!(
            out.capacity() <= 64 * 1024,
            "{coding:?}: {}",
            out.capacity()
        );
        let exact = encode(coding, &bomb[..4097]);
        assert_eq!(decode(coding, &exact, 4096), Err(ErrorKind::BodyTooLarge));
        assert!(decode(coding, &exact, 4097).is_ok());
    }
}

#[test]
fn what_is_cut_or_goes_on_or_is_garbage_is_refused() {
    let plain = b"{\"name\":\"some text that is long enough\"}".repeat(20);
    for coding in ALL {
        let coded = encode(coding, &plain);
        for len in 0..coded.len() {
            assert!(
                decode(coding, &coded[..len], 1 << 20) != Ok(plain.clone()),
                "{coding:?} {len}"
            );
        }
        // What is left may be a byte, or more than a decoder takes in at once.
        for behind in [&b"\0"[..], b"garbage", &[b' '; 10_000], &coded] {
            let longer = [&coded[..], behind].concat();
            let decoded = decode(coding, &longer, 1 << 20);
            // Two members of gzip, and two frames of zstd, are one body.
            if behind.len() == coded.len() && matches!(coding, Coding::Gzip | Coding::Zstd) {
                assert!(decoded == Ok(plain.repeat(2)), "{coding:?}");
            } else {
                assert_eq!(decoded, Err(ErrorKind::BadContentCoding), "{coding:?}");
            }
        }
        for garbage in [&b"{}"[..], b"\xff\xff\xff\xff\xff", b"\x1f\x8b\x08\0"] {
            assert_eq!(
                decode(coding, garbage, 1 << 20),
                Err(ErrorKind::BadContentCoding),
                "{coding:?} {garbage:?}"
            );
        }
    }
}

#[test]
fn deflate_may_be_without_the_header_of_zlib() {
    let zlib = encode(Coding::Deflate, b"{\"a\":1}");
    let bare = &zlib[2..zlib.len() - 4];
    assert_eq!(
        decode(Coding::Deflate, bare, 99).as_deref(),
        Ok(&b"{\"a\":1}"[..])
    );
}

#[test]
fn one_known_coding_is_undone() {
    for (value, coding) in [
        ("gzip", Some(Coding::Gzip)),
        ("X-GZip", Some(Coding::Gzip)),
        ("identity, br", Some(Coding::Brotli)),
        ("identity", None),
        ("", None),
    ] {
        assert_eq!(of_content(value.as_bytes()), Ok(coding), "{value}");
    }
    for value in ["compress", "gzip, gzip", "br;q=1", "*"] {
        assert!(of_content(value.as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn weights_decide_and_then_our_order() {
    for (value, coding) in [
        ("gzip", Some(Coding::Gzip)),
        ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
        ("gzip;q=1.0, br;q=0.9", Some(Coding::Gzip)),
        ("GZIP; q=0.5, br;q=0.501", Some(Coding::Brotli)),
        ("*", Some(Coding::Zstd)),
        ("*;q=0.1, gzip", Some(Coding::Gzip)),
        ("zstd;q=0, *", Some(Coding::Brotli)),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("*;q=0", None),
        ("", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", Some(Coding::Gzip)),
        ("identity;q=0", None),
        ("gzip;q=2", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=x", None),
        ("compress, exi", None),
    ] {
        assert_eq!(accepted(value.as_bytes(), &ALL), coding, "{value}");
    }
    assert_eq!(accepted(b"zstd, gzip", &[Coding::Gzip]), Some(Coding::Gzip));
    assert_eq!(accepted(b"br", &[]), None);
}
