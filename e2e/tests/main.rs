//! User stories with the real binary and the real clients; a module per story.

#![expect(
    clippy::print_stdout,
    reason = "the test runner shows what a failed test printed, and nothing else"
)]

mod access_matrix;
mod advisories;
mod cast;
mod cli_deploy;
mod cli_image_verbs;
mod cli_images;
mod clients;
mod conformance;
mod crash;
mod demands;
mod deployment_configs;
mod directory;
mod documents;
mod door;
mod import;
mod keyless;
mod large_push;
mod login_elsewhere;
mod pods;
mod prune;
mod pull_through;
mod rollouts;
mod seed_story;
mod skopeo_podman_push_pull;
mod two_clusters;
mod watches;
