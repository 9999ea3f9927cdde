//! formats used both ways
