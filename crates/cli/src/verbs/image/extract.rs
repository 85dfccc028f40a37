//! `image extract`: files of an image into folders, without an engine.
//!
//! Owns which layers are read and where what they hold goes. How files are placed is `place`'s business.

mod entries;
mod layer;
mod place;
mod selection;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use pierhead_oci::Descriptor;

use super::info::explain;
use crate::{
    environment::ExitStatus,
    registries::{
        Registries, RegistryOptions,
        platform::FilterOptions,
        repository::{Repository, parts},
        source::ImageSource,
    },
    session::Session,
};
use layer::{Goal, Listing};
use place::Placing;
use selection::{Layers, Wanted};

/// Copy files of an image into folders, without an engine
///
/// SRC of --path is a file, a folder (ends with /) or a pattern of names within a folder; DST is a folder that exists and
/// is empty, unless --confirm is given. Without --path everything goes into the current folder. Some layers can be chosen
/// behind the image: [0] the first, [-1] the last, [:3] the first three, [~12ab] the one whose digest begins so.
///
/// Nothing is ever written outside of DST, whatever the image holds. Devices are left out, as are owners and special
/// permissions unless -p is given.
///
/// Examples:
///   image extract registry.example.com/shop/web:1
///   image extract registry.example.com/shop/web:1 --path=/etc/nginx/:conf --confirm
///   image extract registry.example.com/shop/web:1 --path='/etc/*.conf:.'
///   image extract registry.example.com/shop/web:1 --file=/usr/bin/web
///   image extract 'registry.example.com/shop/web:1[-1]' --dry-run
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExtractArgs {
    /// HOST/REPOSITORY:TAG, HOST/REPOSITORY@DIGEST or file://REPOSITORY:TAG, with [LAYERS] behind it
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// What of the image, and the folder it goes to; may be repeated
    #[arg(long = "path", visible_alias = "paths", value_name = "SRC:DST")]
    paths: Vec<String>,
    /// File that goes to the current folder; may be repeated
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// Only files and folders: no links
    #[arg(long)]
    only_files: bool,
    /// Write into folders that are not empty, over what is there
    #[arg(long)]
    confirm: bool,
    /// Keep owners and permissions; changing owners takes root
    #[arg(short = 'p', long, visible_alias = "preserve-permissions")]
    preserve_ownership: bool,
    /// Print what there is, and write nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    dry_run: bool,
    /// With --dry-run, print files that higher layers replace as well
    #[arg(long)]
    all_layers: bool,
    #[command(flatten)]
    registries: RegistryOptions,
    #[command(flatten)]
    filter: FilterOptions,
    /// Folder of file:// images
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Something of an image that goes to a folder.
struct Mapping {
    wanted: Wanted,
    folder: PathBuf,
}

pub(super) async fn run(args: ExtractArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let mappings = mappings(&args, session)?;
    let registries = Registries::open(&args.registries, args.dir.as_ref(), session)?;
    for image in &args.images {
        let (name, selector) = selection::split(image)?;
        let layers = selector.map(Layers::parse).transpose()?;
        let source = ImageSource::parse(name)?;
        let reference = source.reference()?;
        let repository = registries.reader(&source.place).await?;
        let found =
            repository.image(&reference, &args.filter).await.map_err(|error| explain(error, &source.text))?;
        let (_, all) = parts(&found)?;
        let chosen: Vec<(usize, Descriptor)> = match &layers {
            None => all.iter().cloned().enumerate().collect(),
            Some(layers) => {
                layers.choose(all).with_context(|| format!("unable to filter layers for {source}"))?
            }
        };
        for mapping in &mappings {
            let matched = if args.dry_run {
                list(&args, &repository, &chosen, mapping, session).await
            } else {
                write(&args, &repository, &chosen, mapping, session).await
            };
            let matched = matched.with_context(|| format!("unable to extract {source}"))?;
            if !matched && !mapping.wanted.is_everything() {
                session.remark(&format!("warning: {source} has nothing at {}", mapping.wanted))?;
            }
        }
    }
    Ok(ExitStatus::SUCCESS)
}

fn mappings(args: &ExtractArgs, session: &Session) -> anyhow::Result<Vec<Mapping>> {
    let mut mappings = Vec::new();
    let here = session.environment.cwd.clone();
    for file in &args.files {
        if file.ends_with('/') {
            bail!("invalid file: {file} must not end with a slash");
        }
        mappings.push(Mapping { wanted: Wanted::parse(file)?, folder: here.clone() });
    }
    for path in &args.paths {
        let Some((from, to)) = path.split_once(':') else { bail!("--path must be of the form SRC:DST") };
        let folder = session.path(if to.is_empty() { "." } else { to });
        check_folder(&folder, to, args)?;
        mappings.push(Mapping { wanted: Wanted::parse(from)?, folder });
    }
    if mappings.is_empty() {
        check_folder(&here, ".", args)?;
        mappings.push(Mapping { wanted: Wanted::parse("/")?, folder: here });
    }
    Ok(mappings)
}

fn check_folder(folder: &Path, typed: &str, args: &ExtractArgs) -> anyhow::Result<()> {
    if !folder.exists() {
        bail!("destination path does not exist: {typed}");
    }
    if !folder.is_dir() {
        bail!("invalid argument: {typed} is not a directory");
    }
    if args.confirm || args.dry_run {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(folder).context("could not check for empty directory")?;
    if entries.next().is_some() {
        bail!("directory {typed} must be empty, pass --confirm to overwrite contents of directory");
    }
    Ok(())
}

/// Prints what there is; whether there was something.
async fn list(
    args: &ExtractArgs,
    repository: &Repository,
    layers: &[(usize, Descriptor)],
    mapping: &Mapping,
    session: &mut Session,
) -> anyhow::Result<bool> {
    // What is on top hides what is below it.
    let mut order: Vec<&(usize, Descriptor)> = layers.iter().collect();
    if !args.all_layers {
        order.reverse();
    }
    let mut listing =
        Listing::new(mapping.wanted.clone(), mapping.folder.clone(), args.only_files, args.all_layers);
    let mut any = false;
    for (index, descriptor) in order {
        listing.index = *index;
        let goal = layer::read(repository, descriptor, Goal::List(listing)).await?;
        let Goal::List(mut read) = goal else { bail!("a list became something else") };
        for row in read.rows.drain(..) {
            any = true;
            session.say(&row)?;
        }
        listing = read;
    }
    Ok(any)
}

/// Writes what there is; whether there was something.
async fn write(
    args: &ExtractArgs,
    repository: &Repository,
    layers: &[(usize, Descriptor)],
    mapping: &Mapping,
    session: &mut Session,
) -> anyhow::Result<bool> {
    let mut placing =
        Placing::new(mapping.wanted.clone(), &mapping.folder, args.only_files, args.preserve_ownership)?;
    for (_, descriptor) in layers {
        let goal = layer::read(repository, descriptor, Goal::Place(placing)).await?;
        let Goal::Place(mut placed) = goal else { bail!("a folder became something else") };
        for warning in placed.take_warnings() {
            session.remark(&format!("warning: {warning}"))?;
        }
        placed.next_layer();
        placing = placed;
    }
    placing.finish()?;
    Ok(placing.has_placed())
}
