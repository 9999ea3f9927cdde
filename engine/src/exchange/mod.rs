//! One HTTP request and its reply through every stage.
