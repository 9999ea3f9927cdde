//! captures and query to the wire
