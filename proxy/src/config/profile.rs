//! Named sets of options: what each gateway of the field answers, so that a client notices no change.
//! In: a name. Out: options of the engine. Always: the table of docs/decisions/0001-command-line.md, nothing else.
#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the text of --help"
)]

use clap::ValueEnum;
use transom_engine::exchange::{ErrorForm, Manners, QueryRule, WrongMethod};
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::{Defaults, FieldNames, Options, PatchMasks, UnknownEnumNames};

/// `--profile`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// what this project thinks is right
    #[default]
    Transom,
    /// grpc-gateway v2
    GrpcGateway,
    /// grpc-gateway v1, as etcd up to 3.5 has it
    GrpcGatewayV1,
    /// Envoy's grpc_json_transcoder
    Envoy,
}

impl Profile {
    /// The options that messages are converted by.
    pub fn options(self) -> Options {
        match self {
            Self::Transom => Options::default(),
            Self::GrpcGateway => Options {
                defaults: Defaults::All,
                sort_map_keys: true,
                unknown_enum_names: UnknownEnumNames::Drop,
                patch_masks: PatchMasks::FillStrictly,
                ..Options::default()
            },
            Self::GrpcGatewayV1 => Options {
                names: FieldNames::Proto,
                defaults: Defaults::Omit,
                sort_map_keys: true,
                ..Options::default()
            },
            Self::Envoy => Options {
                defaults: Defaults::Omit,
                patch_masks: PatchMasks::Leave,
                ..Options::default()
            },
        }
    }

    /// How statuses, errors and headers are mapped.
    pub fn manners(self) -> Manners {
        match self {
            Self::Transom => Manners::default(),
            Self::GrpcGateway => Manners {
                headers: HeaderRule::GrpcGateway,
                wrong_method: WrongMethod::NotImplemented,
                ignores_trailing_data: true,
                ..Manners::default()
            },
            Self::GrpcGatewayV1 => Manners {
                headers: HeaderRule::GrpcGateway,
                errors: ErrorForm::GrpcGatewayV1,
                ignores_trailing_data: true,
                ..Manners::default()
            },
            Self::Envoy => Manners {
                wrong_method: WrongMethod::NotFound,
                query: QueryRule {
                    merges_into_whole_body: true,
                    last_wins: true,
                    ..QueryRule::default()
                },
                ..Manners::default()
            },
        }
    }
}
