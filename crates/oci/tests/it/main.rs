//! Manifests as clients send them, read through the public interface.

mod manifests;
