//! paths to routes
