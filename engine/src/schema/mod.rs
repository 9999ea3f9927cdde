//! linked descriptors and HTTP rules
