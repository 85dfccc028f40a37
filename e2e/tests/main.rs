//! User stories with the real binary and the real clients; a module per story.

mod conformance;
mod crash;
mod large_push;
mod seed_story;
mod skopeo_podman_push_pull;
