//! The schemas that inputs are read by. In: nothing. Out: `protos/test`, compiled by each set of options, and for the yardstick.
//! Always: compiled once, when first asked for.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use transom_engine::exchange::{ErrorForm, Forms, Manners, Transcoder, WrongMethod};
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::{
    Defaults, EnumStyle, FieldNames, Int64Style, Message, Options, Schema, UnknownEnumNames,
};

/// Full names of the messages that inputs are read as.
pub const MESSAGES: [&str; 12] = [
    "transom.test.v1.Everything",
    "transom.test.v1.Scalars",
    "transom.test.v1.Optionals",
    "transom.test.v1.Lists",
    "transom.test.v1.UnpackedLists",
    "transom.test.v1.Maps",
    "transom.test.v1.Nested",
    "transom.test.v1.Choice",
    "transom.test.v1.WellKnown",
    "transom.test.v1.WellKnownLists",
    "transom.test.v1.Names",
    "transom.test.proto2.Old",
];

/// Options that differ from each other in all that there is to choose.
pub(crate) static OPTIONS: LazyLock<[Options; 3]> = LazyLock::new(|| {
    [
        Options::default(),
        Options {
            names: FieldNames::Proto,
            defaults: Defaults::All,
            enums: EnumStyle::Number,
            int64: Int64Style::Number,
            unknown_enum_names: UnknownEnumNames::Drop,
            sort_map_keys: true,
            ..Options::default()
        },
        Options {
            defaults: Defaults::Omit,
            reject_unknown_fields: true,
            reject_unknown_query: true,
            ..Options::default()
        },
    ]
});

/// The schema by each set of options, with manners to go with it.
pub(crate) static TRANSCODERS: LazyLock<[Transcoder; 3]> = LazyLock::new(|| {
    let mut manners = [
        Manners::default(),
        Manners {
            headers: HeaderRule::GrpcGateway,
            wrong_method: WrongMethod::NotImplemented,
            errors: ErrorForm::GrpcGatewayV1,
            ignores_trailing_data: true,
            method_override: true,
            status_from_upstream: true,
            hides_debug_info: true,
            ..Manners::default()
        },
        Manners {
            wrong_method: WrongMethod::NotFound,
            forms: Forms::Fields,
            ..Manners::default()
        },
    ]
    .into_iter();
    OPTIONS.map(|options| {
        let schema = Schema::compile(&DESCRIPTORS, &options).expect("the test schemas have plans");
        Transcoder::new(schema, manners.next().unwrap_or_default())
    })
});

/// The same for prost-reflect.
pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(&DESCRIPTORS[..]).expect("protox links what it writes")
});

pub(crate) static DESCRIPTORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../protos");
    protox::Compiler::new([&format!("{protos}/test"), protos])
        .and_then(|mut compiler| {
            compiler
                .include_imports(true)
                .open_files(["rules.proto", "proto2.proto"])?;
            Ok(compiler.encode_file_descriptor_set())
        })
        .expect("the test schemas compile")
});

/// The message that a byte stands for.
pub(crate) fn message(transcoder: &Transcoder, choice: u8) -> (Message<'_>, MessageDescriptor) {
    let name = MESSAGES
        .get(usize::from(choice) % MESSAGES.len())
        .expect("the remainder is an index");
    let message = transcoder.schema().message(name);
    let descriptor = POOL.get_message_by_name(name);
    message
        .zip(descriptor)
        .expect("each name is one of the test schemas")
}

/// The options that a byte stands for.
pub(crate) fn transcoder(choice: u8) -> &'static Transcoder {
    let index = usize::from(choice) % TRANSCODERS.len();
    TRANSCODERS.get(index).expect("the remainder is an index")
}
