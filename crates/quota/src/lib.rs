//! How much a project may have: what objects use, what quotas allow, and the limits of images.
//!
//! Quotas are kept up in the transactions that write what they count, so `status.used` is exact at every revision and
//! nobody gets past a limit by being fast. Projects without quotas pay one look into an empty range. Whose requests are
//! judged, and how a refusal is told, is the servers' business; so are the rules of single pods.

mod amounts;
mod image_limits;
mod ledger;
mod recount;

pub use image_limits::{ImageLimits, LimitExceeded};
pub use ledger::{ChargeError, Charged, Mode, Refusal, charge, charge_stream};
pub use recount::{CountStreams, refresh, regroup};

/// What image streams are stored as, to quotas.
pub const STREAMS: &str = "imagestreams.image.openshift.io";
