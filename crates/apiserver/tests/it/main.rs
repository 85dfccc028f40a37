//! The API server over a store in memory, through its front door: requests in, responses out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod audit;
mod deletions;
mod dependents;
mod deployments;
mod discovery;
mod exposing;
mod federation;
mod image_pitfalls;
mod images;
mod imports;
mod limits;
mod lists;
mod oauth;
mod ownership;
mod pods;
mod projects;
mod quotas;
mod reviews;
mod turns;
mod verbs;
mod watching;
mod websockets;
mod world;
