//! Named sets of options: what each gateway of the field answers, so that a client notices no change.
//! In: a name. Out: options of the engine. Always: the table of docs/decisions/0001-command-line.md, nothing else.
#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the text of --help"
)]

use clap::ValueEnum;
use transom_engine::exchange::{
    ErrorForm, Framing, Manners, QueryRule, RetryAfter, StreamHead, Streams, WrongMethod,
};
use transom_engine::grpc::metadata::HeaderRule;
use transom_engine::{
    BadRules, Defaults, FieldNames, Options, PatchMasks, SameRequests, UnknownEnumNames,
};

use super::Answers;

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
    /// How a gateway of this profile answers, if nothing else is said.
    pub fn answers(self) -> Answers {
        Answers {
            options: self.options(),
            manners: self.manners(),
        }
    }

    /// The options that messages are converted by.
    pub fn options(self) -> Options {
        let options = match self {
            Self::Transom => Options::default(),
            Self::GrpcGateway => Options {
                defaults: Defaults::All,
                sort_map_keys: true,
                unknown_enum_names: UnknownEnumNames::Drop,
                patch_masks: PatchMasks::FillStrictly,
                same_requests: SameRequests::LastWins,
                ..Options::default()
            },
            Self::GrpcGatewayV1 => Options {
                names: FieldNames::Proto,
                same_requests: SameRequests::LastWins,
                defaults: Defaults::Omit,
                sort_map_keys: true,
                ..Options::default()
            },
            Self::Envoy => Options {
                defaults: Defaults::Omit,
                patch_masks: PatchMasks::Leave,
                ignore_trailing_slash: true,
                ..Options::default()
            },
        };
        // SEMANTICS 14: what one service has wrong does not stop the others.
        Options {
            bad_rules: BadRules::Skip,
            ..options
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
                method_override: true,
                retry_after: RetryAfter::Never,
                streams: grpc_gateway_streams(),
                ..Manners::default()
            },
            Self::GrpcGatewayV1 => Manners {
                headers: HeaderRule::GrpcGateway,
                errors: ErrorForm::GrpcGatewayV1,
                ignores_trailing_data: true,
                method_override: true,
                retry_after: RetryAfter::Never,
                streams: grpc_gateway_streams(),
                ..Manners::default()
            },
            Self::Envoy => Manners {
                wrong_method: WrongMethod::NotFound,
                retry_after: RetryAfter::Never,
                query: QueryRule {
                    merges_into_whole_body: true,
                    last_wins: true,
                    ..QueryRule::default()
                },
                streams: Streams {
                    framing: Framing::Array,
                    ..Streams::default()
                },
                ..Manners::default()
            },
        }
    }
}

/// SEMANTICS 120, 121: both versions of grpc-gateway write lines `{"result":..}`, and nothing at all before the first message.
fn grpc_gateway_streams() -> Streams {
    Streams {
        framing: Framing::Wrapped,
        json: Framing::Wrapped,
        head: StreamHead::WithFirst,
        ..Streams::default()
    }
}
