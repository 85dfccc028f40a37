//! `image mirror`: copies images from repository to repository, with nothing kept in between.
//!
//! Owns the order of things: everything is looked at first, then said, then done. What is there already is left alone,
//! so a mirror that was cut off goes on where it was.

mod arguments;
mod copy;
mod plan;
mod survey;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use tokio::time::Instant;

use crate::{
    environment::ExitStatus,
    error::Silent,
    registries::{Registries, RegistryOptions, platform::FilterOptions, size},
    session::Session,
};
use copy::Progress;

/// Copy images from one repository to others
///
/// Images are copied from registry to registry without being kept in between; layers that are there already, in the
/// repository or in another of the same registry, are not sent again. Images for several platforms are copied whole
/// unless --filter-by-os restricts them. A tag of SRC may hold *, which stands for anything; DST then names no tag.
///
/// Examples:
///   image mirror registry.example.com/shop/web:1 registry.example.com/shop/web:stable
///   image mirror registry.example.com/shop/web:1 one.example.com/shop/web:1 two.example.com/shop/web:1
///   image mirror registry.example.com/shop/web:1=mirror.example.com/shop/web:1 registry.example.com/shop/db:2=mirror.example.com/shop/db:2
///   image mirror 'registry.example.com/shop/web:*' mirror.example.com/shop/web
///   image mirror -f mappings.txt --dry-run
///   image mirror registry.example.com/shop/web:1 file://shop/web:1 --dir=media
///   image mirror --from-dir=media file://shop/web:1 inside.example.com/shop/web:1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct MirrorArgs {
    /// SRC DST [DST…], or SRC=DST…
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// File of lines SRC DST [DST…] or SRC=DST; - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    filenames: Vec<String>,
    #[command(flatten)]
    registries: RegistryOptions,
    #[command(flatten)]
    filter: FilterOptions,
    /// Keep an image for several platforms a list, even if --filter-by-os leaves one of it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    keep_manifest_list: bool,
    /// Say what would be copied, and copy nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false",
        hide_default_value = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    dry_run: bool,
    /// Pass over images that do not exist
    #[arg(long)]
    skip_missing: bool,
    /// Copy what can be copied where some cannot
    #[arg(long)]
    continue_on_error: bool,
    /// Send layers rather than take them from another repository of the registry
    #[arg(long)]
    skip_mount: bool,
    /// Ask for tokens for one repository at a time
    #[arg(long)]
    skip_multiple_scopes: bool,
    /// Send layers and manifests even if they are there
    #[arg(long)]
    force: bool,
    /// Registries spoken to at a time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    max_registry: u16,
    /// Requests to one registry at a time
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    max_per_registry: u16,
    /// Folder of file:// images
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Folder of file:// images that are read, where it is another
    #[arg(long, value_name = "FOLDER")]
    from_dir: Option<PathBuf>,
}

pub(super) async fn run(args: MirrorArgs, session: &mut Session) -> anyhow::Result<ExitStatus> {
    let start = Instant::now();
    let mappings = arguments::read(&args, session)?;
    let to = Registries::open(&args.registries, args.dir.as_ref(), session)?;
    let from = match &args.from_dir {
        Some(folder) => to.in_folder(session.path(folder)),
        None => to.in_folder(to.folder.clone()),
    };
    let mut plan = survey::survey(&args, mappings, &from, &to, session).await?;
    plan.trim();
    let text = plan.describe();
    session.environment.stderr.write_all(text.as_bytes())?;
    if !text.is_empty() {
        session.remark("")?;
    }
    let errors = plan.errors();
    for error in &errors {
        session.remark(&format!("error: {error}"))?;
    }
    if !errors.is_empty() && !args.continue_on_error {
        bail!("an error occurred during planning");
    }
    let phases = plan.phases();
    let text = plan.describe_phases(&phases);
    session.environment.stderr.write_all(text.as_bytes())?;
    if !text.is_empty() {
        session.remark("")?;
    }
    session.remark(&format!("info: Planning completed in {}", took(start)))?;
    if args.dry_run {
        session.remark("info: Dry run complete")?;
        return Ok(outcome(errors.len(), plan.is_empty()));
    }
    let start = Instant::now();
    let mut progress = Progress::new(plan.bytes());
    let mut failed = errors.len();
    for phase in &phases {
        let failures = copy::run_phase(&args, &plan, phase, &mut progress, session).await?;
        for failure in &failures {
            session.remark(&format!("error: {failure}"))?;
        }
        failed += failures.len();
        if !failures.is_empty() && !args.continue_on_error {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64().max(0.001);
    let rate = size::decimal(progress.sent() as f64 / seconds);
    session.remark(&format!("info: Mirroring completed in {} ({rate}/s)", took(start)))?;
    if failed > errors.len() {
        session.remark("error: one or more errors occurred while uploading images")?;
    }
    let exit = outcome(failed, progress.published() == 0);
    if exit == ExitStatus::SUCCESS { Ok(exit) } else { Err(Silent(exit).into()) }
}

/// All, some or none of it.
fn outcome(failed: usize, nothing_done: bool) -> ExitStatus {
    match (failed, nothing_done) {
        (0, _) => ExitStatus::SUCCESS,
        (_, true) => ExitStatus::FAILURE,
        (_, false) => ExitStatus::PARTIAL,
    }
}

/// Time since, to a hundredth of a second.
fn took(start: Instant) -> String {
    let elapsed = start.elapsed();
    if elapsed.as_millis() < 1_000 {
        return format!("{}ms", elapsed.as_millis() / 10 * 10);
    }
    let seconds = elapsed.as_secs();
    let rest = format!("{}.{:02}s", seconds % 60, elapsed.subsec_millis() / 10);
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => rest,
        (0, minutes) => format!("{minutes}m{rest}"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
    }
}
