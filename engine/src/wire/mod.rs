//! protobuf bytes
