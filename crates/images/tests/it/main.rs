//! The laws of pushes, tags, history and isolation, through the public functions, over a real store and real permits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod collecting;
mod following;
mod importing;
mod isolation;
mod limits;
mod pitfalls;
mod pushing;
mod status;
mod streams;
mod tag_objects;
mod tags;
mod world;
