//! `image`: look at images, copy them, add layers to them and take files out of them, at registries and in folders.
//!
//! Asks registries only, never the API server (openshift-images 8.7).

mod append;
mod archive;
mod extract;
mod info;
mod mirror;

use clap::{Args, Subcommand};

use crate::{environment::ExitStatus, session::Session};

/// Look at images, copy them, add layers to them, take files out of them
///
/// These verbs ask registries, not the API server. Credentials are those of podman and docker; `registry login` saves
/// them for the integrated registry.
///
/// Examples:
///   image info registry.example.com/shop/web:1
///   image mirror registry.example.com/shop/web:1 mirror.example.com/shop/web:1
///   image append --from=registry.example.com/shop/web:1 --to=registry.example.com/shop/web:2 layer.tar.gz
///   image extract registry.example.com/shop/web:1 --path=/etc/:conf
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    verb: ImageVerb,
}

#[derive(Subcommand, Debug)]
enum ImageVerb {
    Info(info::InfoArgs),
    Mirror(Box<mirror::MirrorArgs>),
    Append(Box<append::AppendArgs>),
    Extract(Box<extract::ExtractArgs>),
}

pub(crate) async fn run(args: ImageArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    match args.verb {
        ImageVerb::Info(args) => info::run(args, session).await,
        ImageVerb::Mirror(args) => mirror::run(*args, session).await,
        ImageVerb::Append(args) => append::run(*args, session).await,
        ImageVerb::Extract(args) => extract::run(*args, session).await,
    }
}
