//! A registry without the rest of the product, on a port of its own: for running clients and the conformance suite.
//!
//! Everything is in memory, or below the directory that is given. Prints its address and goes on until it is stopped.
//! The password of every user is `sha256~` and the user's name:
//!
//! ```console
//! $ cargo run -p pierhead-registry --example registry_alone
//! 127.0.0.1:41215
//! $ echo 'sha256~admin' | podman login --tls-verify=false -u admin --password-stdin 127.0.0.1:41215
//! ```

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use pierhead_runtime::Tasks;
use pierhead_runtime::listen::{self, Limits};
use pierhead_runtime::telemetry::{self, LogFormat};

#[expect(dead_code, clippy::unwrap_used, reason = "it is made for tests, which use more of it")]
#[path = "../tests/it/site.rs"]
mod site;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    telemetry::init(LogFormat::Text, "info")?;
    let site = match std::env::args_os().nth(1) {
        None => site::Site::start().await,
        Some(directory) => site::Site::start_below(Path::new(&directory)).await,
    };
    let listener = listen::bind("127.0.0.1:0".parse()?)?;
    writeln!(std::io::stdout(), "{}", listener.local_addr())?;
    let tasks = Tasks::new();
    let registry = site.registry.clone();
    let handler = move |request| {
        let registry = registry.clone();
        async move { registry.handle(request).await }
    };
    listen::serve(listener, None, handler, &tasks, Limits::default());
    tasks.stop_token().cancelled().await;
    Ok(())
}
