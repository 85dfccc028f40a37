//! `cargo xtask bench`: ours beside Debian's docker-registry and distribution v3, on the work of `design.md` 4.

#![expect(clippy::print_stdout, reason = "a program of the repository that reports to whoever started it")]

use anyhow::{Context, Result};
use http::Method;
use pierhead_e2e::bench::report::{Row, Target, head};
use pierhead_e2e::bench::servers::Server;
use pierhead_e2e::bench::{deploy, process, proxies, pull_through, work};
use std::path::PathBuf;

/// Tags of the repository whose pages are listed, and of the store that is started; `PIERHEAD_BENCH_TAGS` and
/// `PIERHEAD_BENCH_START_TAGS` set others. The target speaks of a million of the latter: they all come through the API,
/// which takes many minutes, so a run that is not told otherwise starts with fewer.
const TAGS: u64 = 100_000;
const START_TAGS: u64 = 200_000;

const IMPORT: &str = "import of a repository of 100 tags";
const DEPLOY: &str = "from a push to the new pod answering, median of 5";
const DEPLOYS: u32 = 5;
const PULL_THROUGH: &str = "200 clients pull one uncached image of 8 MiB, each blob fetched once";

#[tokio::main]
async fn main() -> Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut bench = Bench { servers: servers().await?, filter };
    let names: Vec<&str> = bench.servers.iter().map(|server| server.name).collect();
    println!("{}", head(&names));
    bench.idle()?;
    bench.manifests().await?;
    bench.pushes().await?;
    bench.tags().await?;
    bench.imports().await?;
    bench.pulls_through().await?;
    bench.deploys().await?;
    bench.large().await?;
    bench.memory().await?;
    bench.start().await?;
    bench.proxies().await
}

struct Bench {
    /// Ours first.
    servers: Vec<Server>,
    filter: String,
}

async fn servers() -> Result<Vec<Server>> {
    let ours = path("PIERHEAD_BIN")?;
    let distribution = path("PIERHEAD_BENCH_DISTRIBUTION")?;
    Ok(vec![
        Server::ours(&ours).await?,
        Server::peer("docker-registry 2.8.2", &PathBuf::from("docker-registry")).await?,
        Server::peer("distribution 3.1.2", &distribution).await?,
    ])
}

fn path(variable: &str) -> Result<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is set by cargo xtask bench"))
}

fn count(variable: &str, default: u64) -> u64 {
    std::env::var_os(variable).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(default)
}

impl Bench {
    fn wants(&self, work: &str) -> bool {
        work.contains(&self.filter)
    }

    fn report(&self, work: &str, unit: &'static str, figures: Vec<f64>, target: Target) {
        let figures = self.servers.iter().map(|server| server.name).zip(figures).collect();
        println!("{}", Row { work: work.to_owned(), unit, figures, target }.line());
    }

    fn idle(&self) -> Result<()> {
        if self.wants("memory idle") {
            let figures = self
                .servers
                .iter()
                .map(|server| mebibytes(process::resident(server.pid())))
                .collect::<Result<_>>()?;
            self.report("memory idle", "MiB", figures, Target::AtMost(40.0));
        }
        Ok(())
    }

    async fn manifests(&self) -> Result<()> {
        for (name, method, by_digest) in [
            ("manifest GET by tag", Method::GET, false),
            ("manifest HEAD by tag", Method::HEAD, false),
            ("manifest GET by digest", Method::GET, true),
            ("manifest HEAD by digest", Method::HEAD, true),
        ] {
            if !self.wants(name) {
                continue;
            }
            let mut figures = Vec::new();
            for server in &self.servers {
                let digest = work::push_one(server, "bench/read", "latest").await?;
                let reference = if by_digest { digest } else { "latest".to_owned() };
                let path = format!("/v2/bench/read/manifests/{reference}");
                figures.push(work::repeat(server, method.clone(), &path, 8).await?.per_processor_second());
            }
            self.report(name, "requests per CPU s", figures, Target::TimesMore(10.0));
        }
        Ok(())
    }

    async fn pushes(&self) -> Result<()> {
        if self.wants("push of a small image") {
            let mut figures = Vec::new();
            for server in &self.servers {
                figures.push(work::push_small(server, 1).await?.per_processor_second());
            }
            self.report("push of a small image", "images per CPU s", figures, Target::TimesMore(5.0));
            let mut figures = Vec::new();
            for server in &self.servers {
                figures.push(work::push_small(server, 8).await?.per_second());
            }
            self.report("push of a small image, 8 clients", "images per s", figures, Target::TimesMore(3.0));
        }
        for (name, clients) in [("move a tag", 8), ("move a tag, nobody else does", 1)] {
            if !self.wants(name) {
                continue;
            }
            let mut figures = Vec::new();
            for server in &self.servers {
                figures.push(work::move_tags(server, clients).await?.per_processor_second());
            }
            self.report(name, "moves per CPU s", figures, Target::TimesMore(10.0));
        }
        Ok(())
    }

    async fn tags(&self) -> Result<()> {
        let tags = count("PIERHEAD_BENCH_TAGS", TAGS);
        let name = format!("page of 100 of {tags} tags");
        if self.wants(&name) {
            let mut figures = Vec::new();
            for server in &self.servers {
                work::fill_tags(server, "bench/tags", tags).await?;
                let path = format!("/v2/bench/tags/tags/list?n=100&last=t{:07}", tags / 2);
                figures.push(work::repeat(server, Method::GET, &path, 2).await?.per_processor_second());
            }
            self.report(&name, "pages per CPU s", figures, Target::TimesMore(50.0));
        }
        Ok(())
    }

    /// Ours alone: the peers import nothing. The source is ours, too, so both sides' time counts.
    async fn imports(&self) -> Result<()> {
        if self.wants(IMPORT) {
            let ours = &self.servers[0];
            work::fill_tags(ours, "bench/source", 100).await?;
            let (took, tags) = ours.import("bench/source", "imported")?;
            // The hundred, and the one they are copies of.
            anyhow::ensure!(tags == 101, "{tags} tags were imported");
            let (again, _) = ours.import("bench/source", "imported")?;
            self.report(IMPORT, "s", vec![took.as_secs_f64()], Target::AtMost(5.0));
            self.report("the same import without news", "s", vec![again.as_secs_f64()], Target::AtMost(2.5));
        }
        Ok(())
    }

    /// Ours alone: the peers proxy one registry and no others, and only when they are told to at their start.
    async fn pulls_through(&self) -> Result<()> {
        if self.wants(PULL_THROUGH) {
            let pulled = pull_through::pull_uncached(&self.servers[0], 200).await?;
            self.report(PULL_THROUGH, "s", vec![pulled.took.as_secs_f64()], Target::AtMost(15.0));
            let memory = vec![mebibytes(Ok(pulled.memory))?];
            self.report("memory meanwhile", "MiB", memory, Target::AtMost(256.0));
        }
        Ok(())
    }

    /// Ours alone: the peers run nothing.
    async fn deploys(&self) -> Result<()> {
        if self.wants(DEPLOY) {
            let times = deploy::push_to_answer(DEPLOYS).await?;
            let median = times.get(times.len() / 2).map(std::time::Duration::as_secs_f64);
            self.report(DEPLOY, "s", median.into_iter().collect(), Target::AtMost(5.0));
        }
        Ok(())
    }

    async fn large(&self) -> Result<()> {
        if !self.wants("push and pull of 1 GiB") {
            return Ok(());
        }
        let hash = work::hash_once()?.as_secs_f64();
        let (mut pushes, mut pulls) = (Vec::new(), Vec::new());
        for server in &self.servers {
            let (measure, digest) = work::push_large(server).await?;
            pushes.push(measure.processor.as_secs_f64() / hash);
            let measure = work::pull_large(server, &digest).await?;
            pulls.push(measure.processor.as_secs_f64() / measure.operations as f64);
        }
        let work = format!("push of a 1 GiB blob, against hashing it once in {hash:.2} s");
        self.report(&work, "times", pushes, Target::AtMost(1.2));
        self.report("pull of a 1 GiB blob", "CPU s", pulls, Target::TimesLess(1.0));
        Ok(())
    }

    async fn memory(&self) -> Result<()> {
        if self.wants("memory under 64 uploads") {
            let mut figures = Vec::new();
            for server in &self.servers {
                figures.push(mebibytes(work::memory_under_uploads(server, 64).await)?);
            }
            self.report("memory under 64 uploads of 1 GiB", "MiB", figures, Target::AtMost(256.0));
        }
        Ok(())
    }

    /// The router has peers of its own, and so a table of its own.
    async fn proxies(&self) -> Result<()> {
        let name = "requests through the router";
        if !self.wants(name) {
            return Ok(());
        }
        let backend = proxies::Backend::start().await?;
        let proxies = proxies::start(&path("PIERHEAD_BIN")?, &backend).await?;
        let names: Vec<&str> = proxies.iter().map(|proxy| proxy.name).collect();
        println!("\n{}", head(&names));
        let mut measures = Vec::new();
        for proxy in &proxies {
            measures.push((proxy.name, proxy.requests(16).await?));
        }
        let row = |unit, figure: fn(&work::Measure) -> f64| {
            let figures = measures.iter().map(|(name, measure)| (*name, figure(measure))).collect();
            let target = Target::TimesMore(0.5);
            println!("{}", Row { work: name.to_owned(), unit, figures, target }.line());
        };
        row("requests per CPU s", work::Measure::per_processor_second);
        row("requests per s", work::Measure::per_second);
        Ok(())
    }

    /// Ours alone: the peers keep no index to start with.
    async fn start(&mut self) -> Result<()> {
        let tags = count("PIERHEAD_BENCH_START_TAGS", START_TAGS);
        let name = format!("start with {tags} tags");
        if self.wants(&name) {
            let ours = &mut self.servers[0];
            work::fill_tags(ours, "bench/start", tags).await?;
            let took = ours.restart().await?.as_secs_f64();
            self.report(&name, "s", vec![took], Target::AtMost(2.0));
        }
        Ok(())
    }
}

fn mebibytes(bytes: Result<u64>) -> Result<f64> {
    Ok(bytes? as f64 / f64::from(1 << 20))
}
