//! The image verbs against a registry that is not ours: distribution's, as Debian packages it; looked at with skopeo.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use pierhead_cli::Environment;
use serde_json::{Value, json};

use crate::api::{Outcome, Shared, now};

/// A registry with nothing in it, and a folder to work in.
struct Ground {
    folder: tempfile::TempDir,
    registry: Child,
    host: String,
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.registry.kill().ok();
        self.registry.wait().ok();
    }
}

impl Ground {
    fn new() -> Self {
        Self::with(|_| String::new())
    }

    /// With more of the registry's configuration.
    fn with(more: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join(".data");
        let config = folder.path().join(".registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{formatter: text}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{}",
            data.display(),
            more(folder.path()),
        );
        fs::write(&config, text).unwrap();
        let mut registry = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry of the package of that name");
        let mut lines = BufReader::new(registry.stderr.take().unwrap()).lines();
        let host = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ' ']).next().unwrap().to_owned();
            }
        };
        // It stops when nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, registry, host }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a line, in which `R` stands for the registry's host.
    async fn run(&self, line: &str) -> Outcome {
        self.run_with(&[], line).await
    }

    async fn run_with(&self, vars: &[(&str, &str)], line: &str) -> Outcome {
        let words = line.split(' ').map(|word| word.replace("R/", &format!("{}/", self.host)));
        let arguments = std::iter::once("oc".to_owned()).chain(words).map(OsString::from);
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let environment = Environment {
            vars: vars.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect(),
            home: Some(self.folder.path().to_owned()),
            cwd: self.folder.path().to_owned(),
            stdin: Box::new(std::io::empty()),
            stdin_is_terminal: false,
            stdout: Box::new(stdout.clone()),
            stdout_is_terminal: false,
            stderr: Box::new(stderr.clone()),
            stderr_is_terminal: false,
            now,
            client: None,
        };
        let status = pierhead_cli::run("oc", arguments, environment).await;
        Outcome { code: status.0, stdout: stdout.text(), stderr: stderr.text() }
    }

    async fn ok(&self, line: &str) -> String {
        let outcome = self.run(line).await;
        assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
        outcome.stdout
    }

    async fn fails(&self, line: &str, text: &str) {
        let outcome = self.run(line).await;
        assert_ne!(outcome.code, 0, "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(text), "{line}: {outcome:?}");
    }

    /// Writes an archive of files.
    fn archive(&self, name: &str, files: &[(&str, &str)]) {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        fs::write(self.path(name), builder.into_inner().unwrap()).unwrap();
    }

    /// An image of two layers at `shop/web:1`.
    async fn image(&self) {
        self.archive("low.tar", &[("etc/a.conf", "one"), ("etc/b.txt", "two")]);
        self.archive("high.tar", &[("etc/.wh.b.txt", ""), ("etc/c.conf", "three")]);
        self.ok("image append --to=R/shop/base:1 low.tar --insecure --created-at=2016-03-30T11:00:00Z").await;
        let change = "--image={\"Cmd\":[\"/web\"],\"Env\":[\"A=1\"],\"Labels\":{\"x\":\"y\"},\"ExposedPorts\":{\"80/tcp\":{}}}";
        self.ok(&format!(
            "image append --from=R/shop/base:1 --to=R/shop/web:1 high.tar --insecure --created-at=2016-03-30T11:00:00Z {change}"
        ))
        .await;
    }

    /// What skopeo says of an image.
    fn skopeo(&self, name: &str, flag: &str) -> Value {
        let output = Command::new("skopeo")
            .args(["inspect", "--tls-verify=false", flag, &format!("docker://{}/{name}", self.host)])
            .env("HOME", self.folder.path())
            .output()
            .expect("skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn digest(&self, name: &str) -> String {
        self.skopeo(name, "--no-tags")["Digest"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn images_are_made_and_shown() {
    let ground = Ground::new();
    ground.image().await;
    let config = ground.skopeo("shop/web:1", "--config");
    assert_eq!(config["config"]["Cmd"], json!(["/web"]));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    assert_eq!(config["created"], "2016-03-30T11:00:00Z");
    let digest = ground.digest("shop/web:1");
    let shown = ground.ok("image info R/shop/web:1 --insecure").await;
    for row in [
        format!("Name:          {}/shop/web:1", ground.host),
        format!("Digest:        {digest}"),
        "Media Type:    application/vnd.docker.distribution.manifest.v2+json".to_owned(),
        "Created:       60m ago".to_owned(),
        "Command:       /web".to_owned(),
        "Exposes Ports: 80/tcp".to_owned(),
        "Environment:   A=1".to_owned(),
        "Labels:        x=y".to_owned(),
    ] {
        assert!(shown.lines().any(|line| line == row), "{row} in {shown}");
    }
    assert!(shown.contains(" in 2 layers\n"), "{shown}");
    let all = ground.ok("image info R/shop/web:* R/shop/base:1 --insecure -o json").await;
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[0]["digest"], digest.as_str());
    ground.fails("image info R/shop/web:2 --insecure", "not found").await;
    ground.fails("image info R/shop/web --insecure", "must point to an image ID or image tag").await;
    let dry = ground
        .ok("image append --from=R/shop/web:1 --to=R/shop/web:9 --insecure --dry-run --drop-history")
        .await;
    let dry: Value = serde_json::from_str(&dry).unwrap();
    assert!(dry.get("history").is_none());
    ground.fails("image info R/shop/web:9 --insecure", "not found").await;
}

#[tokio::test]
async fn images_are_mirrored_once() {
    let ground = Ground::new();
    ground.image().await;
    let digest = ground.digest("shop/web:1");
    let dry =
        ground.run("image mirror R/shop/web:1 R/other/web:prod R/third/web:prod --insecure --dry-run").await;
    assert_eq!((dry.code, dry.stdout.as_str()), (0, ""));
    for text in
        ["stats: shared=3 unique=0", "phase 0:\n", "phase 1:\n", "info: Dry run complete\n", " -> prod\n"]
    {
        assert!(dry.stderr.contains(text), "{text}: {}", dry.stderr);
    }
    let done = ground.run("image mirror R/shop/web:1 R/other/web:prod R/third/web:prod --insecure").await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.stdout,
        format!("{digest} {0}/other/web:prod\n{digest} {0}/third/web:prod\n", ground.host)
    );
    assert_eq!(done.stderr.matches("mounted: ").count(), 6, "{}", done.stderr);
    assert_eq!(ground.digest("third/web:prod"), digest);
    let again = ground.run("image mirror R/shop/web:1 R/other/web:prod --insecure").await;
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{again:?}");
    assert!(!again.stderr.contains("uploading"), "{again:?}");
    fs::write(
        ground.path("map"),
        format!("# all\n{0}/shop/web:1 {0}/four/web:1 {0}/four/web:2\n", ground.host),
    )
    .unwrap();
    let sent = ground.run("image mirror -f map --insecure --skip-mount").await;
    assert_eq!(sent.stderr.matches("uploading: ").count(), 3, "{sent:?}");
    assert_eq!(ground.digest("four/web:2"), digest);
}

#[tokio::test]
async fn what_cannot_be_mirrored_is_told() {
    let ground = Ground::new();
    ground.image().await;
    ground.fails("image mirror R/shop/web:1", "as SRC=DST or SRC DST [DST2 DST3 ...]").await;
    ground
        .fails("image mirror R/shop/web:1 R/shop/web:1 --insecure", "SRC and DST may not be the same")
        .await;
    ground.fails("image mirror R/shop/web:7 R/x/y:1 --insecure", "an error occurred during planning").await;
    let skipped =
        ground.run("image mirror R/shop/web:7=R/x/y:7 R/shop/web:1=R/x/y:1 --insecure --skip-missing").await;
    assert_eq!(skipped.code, 0, "{skipped:?}");
    assert!(skipped.stderr.contains("does not exist and will not be mirrored"), "{skipped:?}");
    let partly = ground
        .run("image mirror R/shop/web:7=R/z/y:7 R/shop/web:1=R/z/y:1 --insecure --continue-on-error")
        .await;
    assert_eq!(partly.code, 3, "{partly:?}");
    assert!(partly.stdout.contains("/z/y:1"), "{partly:?}");
}

#[tokio::test]
async fn lists_go_whole_or_in_part() {
    let ground = Ground::new();
    ground.image().await;
    let config = ground.skopeo("shop/web:1", "--raw");
    let digest = ground.digest("shop/web:1");
    let size = serde_json::to_vec(&config).unwrap().len();
    // Two platforms, one image: what counts is which rows are kept.
    let child = |architecture: &str, digest: &str, size: usize| {
        json!({"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let other = ground.digest("shop/base:1");
    ground.ok("image mirror R/shop/base:1 R/shop/web --insecure").await;
    let list = json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [child("amd64", &digest, size), child("s390x", &other, 500)]});
    let folder = ground.path("media/v2/shop/web/manifests");
    ground.ok("image mirror R/shop/web:1 file://shop/web:1 --dir=media --insecure").await;
    ground.ok(&format!("image mirror R/shop/web@{other} file://shop/web --dir=media --insecure")).await;
    fs::write(folder.join("multi"), list.to_string()).unwrap();
    ground
        .fails(
            "image info file://shop/web:multi --dir=media --filter-by-os=.*",
            "OS          DIGEST\n  linux/amd64",
        )
        .await;
    let one = ground.ok("image info file://shop/web:multi --dir=media --filter-by-os=s390x").await;
    assert!(one.contains(&other), "{one}");
    let pushed =
        ground.run("image mirror file://shop/web:multi R/multi/web:1 --from-dir=media --insecure").await;
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let raw = ground.skopeo("multi/web:1", "--raw");
    assert_eq!(raw["manifests"].as_array().unwrap().len(), 2);
    let line =
        "image mirror file://shop/web:multi R/part/web:1 --from-dir=media --insecure --filter-by-os=s390x";
    let part = ground.run(line).await;
    assert_eq!(part.code, 0, "{part:?}");
    assert_eq!(ground.digest("part/web:1"), other);
    let kept = ground.run(&format!("{line} --keep-manifest-list")).await;
    assert_eq!(kept.code, 0, "{kept:?}");
    assert_eq!(ground.skopeo("part/web:1", "--raw")["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn files_are_taken_out() {
    let ground = Ground::new();
    ground.image().await;
    fs::create_dir(ground.path("out")).unwrap();
    ground.ok("image extract R/shop/web:1 --path=/etc/:out --insecure").await;
    assert_eq!(fs::read_to_string(ground.path("out/c.conf")).unwrap(), "three");
    assert!(!ground.path("out/b.txt").exists());
    ground
        .fails("image extract R/shop/web:1 --path=/etc/:out --insecure", "must be empty, pass --confirm")
        .await;
    ground.ok("image extract R/shop/web:1[0] --path=/etc/:out --insecure --confirm").await;
    assert_eq!(fs::read_to_string(ground.path("out/b.txt")).unwrap(), "two");
    ground.ok("image extract R/shop/web:1 --file=/etc/a.conf --insecure").await;
    assert_eq!(fs::read_to_string(ground.path("a.conf")).unwrap(), "one");
    let listed = ground.ok("image extract R/shop/web:1 --path=/etc/*.conf:. --dry-run --insecure").await;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    ground.fails("image extract R/shop/web:1[5] --dry-run --insecure", "has 2 layers").await;
}

#[tokio::test]
async fn layers_may_be_compressed_with_zstd() {
    let ground = Ground::new();
    ground.image().await;
    fs::create_dir(ground.path("out")).unwrap();
    // The folder of `file://` images, by hand: `append` makes no such layers.
    let folder = ground.path("v2/z/web");
    fs::create_dir_all(folder.join("blobs")).unwrap();
    fs::create_dir_all(folder.join("manifests")).unwrap();
    let blob = |media_type: &str, content: &[u8]| {
        let digest = pierhead_oci::Digest::sha256(content).to_string();
        fs::write(folder.join("blobs").join(&digest), content).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    };
    let archive = fs::read(ground.path("high.tar")).unwrap();
    let half = archive.len() / 2;
    let pack =
        |part: &[u8]| ruzstd::encoding::compress_to_vec(part, ruzstd::encoding::CompressionLevel::Fastest);
    // Two frames, as parallel compressors write them.
    let packed = [pack(&archive[..half]), pack(&archive[half..])].concat();
    let layer = blob("application/vnd.oci.image.layer.v1.tar+zstd", &packed);
    let diff_id = pierhead_oci::Digest::sha256(&archive).to_string();
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer]});
    fs::write(folder.join("manifests/1"), manifest.to_string()).unwrap();
    ground.ok("image mirror file://z/web:1 R/z/web:1 --insecure").await;
    ground.ok("image extract R/z/web:1 --path=/etc/:out --insecure").await;
    assert_eq!(fs::read_to_string(ground.path("out/c.conf")).unwrap(), "three");
    // Whoever keeps something else under that digest is found out.
    fs::create_dir(ground.path("bad")).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    fs::copy(ground.path("low.tar"), folder.join("blobs").join(digest)).unwrap();
    ground.fails("image extract file://z/web:1[0] --path=/:bad", "cannot be trusted").await;
}

#[tokio::test]
async fn credentials_are_found() {
    let ground = Ground::with(|folder| {
        fs::write(folder.join("htpasswd"), htpasswd()).unwrap();
        format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", folder.join("htpasswd").display())
    });
    ground.archive("low.tar", &[("a", "b")]);
    let append = "image append --to=R/shop/base:1 low.tar --insecure";
    ground.fails(append, "error: ").await;
    let login = format!("registry login --registry={} --auth-basic=ed:secret --insecure", ground.host);
    ground.ok(&login).await;
    ground.ok(append).await;
    // A helper for this host wins, and is asked by its own protocol.
    fs::remove_dir_all(ground.path(".docker")).unwrap();
    let helper = ground.path("docker-credential-test");
    fs::write(&helper, "#!/bin/sh\nread host\necho \"{\\\"Username\\\": \\\"ed\\\", \\\"Secret\\\": \\\"secret\\\", \\\"ServerURL\\\": \\\"$host\\\"}\"\n").unwrap();
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(ground.path("auth.json"), json!({"credHelpers": {&ground.host: "test"}}).to_string()).unwrap();
    let path = format!("{}:/usr/bin:/bin", ground.folder.path().display());
    let info = "image info R/shop/base:1 --insecure -a auth.json";
    let shown = ground.run_with(&[("PATH", &path)], info).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    ground.fails(info, "docker-credential-test is not on the path").await;
    ground.fails("image info R/shop/base:1 --insecure", "don't have permission to access").await;
}

fn htpasswd() -> Vec<u8> {
    let made = Command::new("htpasswd").args(["-nbB", "ed", "secret"]).output();
    made.expect("htpasswd of apache2-utils").stdout
}

/// A registry whose connection breaks half way through every blob that is asked for from its beginning. Gives its host,
/// and the ranges that were asked for.
fn breaking_registry(files: Vec<(String, String, Vec<u8>)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&ranges);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), &files, &asked);
        }
    });
    (host, ranges)
}

fn answer(stream: &mut TcpStream, files: &[(String, String, Vec<u8>)], asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(count) if count > 0 && head.first().is_none_or(u8::is_ascii_uppercase) => {
                head.extend(&part[..count]);
            }
            // Somebody who tries TLS.
            _ => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let found = files.iter().find(|(name, _, _)| path == name);
    let (kind, content) = found.map_or(("text/plain", &[][..]), |(_, kind, content)| (kind, content));
    let range = head.lines().find_map(|line| line.to_lowercase().strip_prefix("range: ").map(str::to_owned));
    let (status, start, end) = match &range {
        Some(range) => {
            asked.lock().unwrap().push(range.clone());
            let start = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
            ("206 Partial Content", start, content.len())
        }
        None if path.contains("/blobs/") && content.len() > 1000 => ("200 OK", 0, content.len() / 2),
        None if found.is_some() => ("200 OK", 0, content.len()),
        None => ("404 Not Found", 0, 0),
    };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n",
        content.len() - start,
        content.len().max(1) - 1,
        content.len(),
    );
    let is_head = head.starts_with("HEAD");
    stream.write_all(text.as_bytes()).ok();
    stream.write_all(if is_head { &[] } else { &content[start..end] }).ok();
}

#[tokio::test]
async fn a_blob_is_gone_on_with_where_the_connection_broke() {
    let layer: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let config = b"{}".to_vec();
    let [layer_digest, config_digest] =
        [&layer, &config].map(|content| pierhead_oci::Digest::sha256(content));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len()}],
    });
    let blob = |digest: &pierhead_oci::Digest, content: &Vec<u8>| {
        (format!("/v2/shop/web/blobs/{digest}"), "application/octet-stream".to_owned(), content.clone())
    };
    let kind = "application/vnd.oci.image.manifest.v1+json".to_owned();
    let (host, ranges) = breaking_registry(vec![
        ("/v2/".to_owned(), "text/plain".to_owned(), Vec::new()),
        ("/v2/shop/web/manifests/1".to_owned(), kind, manifest.to_string().into_bytes()),
        blob(&config_digest, &config),
        blob(&layer_digest, &layer),
    ]);
    let ground = Ground::new();
    ground.ok(&format!("image mirror {host}/shop/web:1 file://web:1 --dir=usb --insecure")).await;
    let stored = ground.path("usb").join("v2/web/blobs").join(layer_digest.to_string());
    assert_eq!(fs::read(stored).unwrap(), layer);
    assert_eq!(*ranges.lock().unwrap(), [format!("bytes={}-", layer.len() / 2)]);
}
