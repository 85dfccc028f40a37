//! User stories with the real binary and the real clients; a module per story.

mod crash;
mod seed_story;
mod skopeo_podman_push_pull;
