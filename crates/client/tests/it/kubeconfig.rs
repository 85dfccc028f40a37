//! Kubeconfig files as kubectl and oc treat them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use pierhead_client::{
    Credentials,
    kubeconfig::{
        Cluster, Context, Kubeconfig, KubeconfigError, Overrides, Sources, User, cluster_name, context_name,
        split_context_name, user_name,
    },
};

const FIRST: &str = "\
apiVersion: v1
kind: Config
current-context: p/master:8443/ed
clusters:
- name: master:8443
  cluster: {server: 'https://master:8443', certificate-authority: ca.crt, x-note: keep}
contexts:
- name: p/master:8443/ed
  context: {cluster: 'master:8443', user: ed/master:8443, namespace: p}
";
const SECOND: &str = "\
users:
- name: ed/master:8443
  user: {token: sesame}
contexts:
- name: p/master:8443/ed
  context: {cluster: other, user: other}
";

fn sources(folder: &Path, names: &[&str]) -> Sources {
    let paths = names.iter().map(|name| folder.join(name));
    Sources { explicit: None, variable: Some(std::env::join_paths(paths).unwrap()), home: None }
}

#[test]
fn several_files_are_one_config_and_changes_go_home() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), FIRST).unwrap();
    fs::write(folder.path().join("b"), SECOND).unwrap();
    fs::write(folder.path().join("ca.crt"), "PEM").unwrap();
    let mut config = Kubeconfig::load(&sources(folder.path(), &["a", "b", "missing"])).unwrap();

    let options = config.config.connect_options(&Overrides::default()).unwrap().unwrap();
    assert_eq!(options.server, "https://master:8443");
    assert_eq!(options.trust.certificate_authority.as_deref(), Some(b"PEM".as_slice()));
    assert!(matches!(&options.credentials, Credentials::Token(token) if token.expose() == "sesame"));

    config.config.users.get_mut("ed/master:8443").unwrap().token = Some("new".into());
    let context = Context { cluster: "master:8443".into(), user: "x".into(), ..Context::default() };
    config.config.contexts.insert("q/master:8443/x".into(), context);
    config.config.current_context = "q/master:8443/x".into();
    config.save().unwrap();

    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let (first, second) = (fs::read_to_string(&a).unwrap(), fs::read_to_string(&b).unwrap());
    assert!(first.contains("current-context: q/master:8443/x"), "{first}");
    assert!(first.contains("certificate-authority: ca.crt") && first.contains("x-note: keep"), "{first}");
    assert!(!first.contains("token"), "{first}");
    assert!(second.contains("token: new") && !second.contains("q/master"), "{second}");
    assert_eq!(fs::metadata(&a).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.path().join("missing").exists());
    let again = Kubeconfig::load(&sources(folder.path(), &["a", "b"])).unwrap();
    assert_eq!(again.config, config.config);
}

#[test]
fn a_first_login_writes_the_home_file() {
    let home = tempfile::tempdir().unwrap();
    let sources = Sources { home: Some(home.path().to_owned()), ..Sources::default() };
    let mut config = Kubeconfig::load(&sources).unwrap();
    assert!(config.is_new());
    let cluster = cluster_name("https://master.example.com:8443");
    let server = "https://master.example.com:8443".to_owned();
    config.config.clusters.insert(cluster.clone(), Cluster { server, ..Cluster::default() });
    let user = user_name("ed", &cluster);
    config.config.users.insert(user, User { token: Some("t".into()), ..User::default() });
    config.save().unwrap();
    let written = fs::read_to_string(home.path().join(".kube/config")).unwrap();
    let expected = "\
apiVersion: v1
clusters:
- cluster:
    server: https://master.example.com:8443
  name: master-example-com:8443
contexts: []
current-context: \"\"
kind: Config
preferences: {}
users:
- name: ed/master-example-com:8443
  user:
    token: t
";
    assert_eq!(written, expected);
}

#[test]
fn who_writes_at_the_same_time_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), &["a"]);
    let names: Vec<String> = (0..16).map(|number| format!("c{number}")).collect();
    let log_in = |name: &str| {
        let mut config = Kubeconfig::load(&sources).unwrap();
        let context = Context { cluster: name.to_owned(), ..Context::default() };
        config.config.contexts.insert(name.to_owned(), context);
        config.save().unwrap();
    };
    let (log_in, together) = (&log_in, &std::sync::Barrier::new(names.len()));
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || {
                together.wait();
                log_in(name);
            });
        }
    });
    // What somebody else added since it was read is not taken back.
    let mut old = Kubeconfig::load(&sources).unwrap();
    assert!(names.iter().all(|name| old.config.contexts.contains_key(name)), "{:?}", old.config.contexts);
    log_in("later");
    old.config.contexts.remove("c0");
    old.save().unwrap();
    let left = Kubeconfig::load(&sources).unwrap().config.contexts;
    assert!(left.contains_key("later") && !left.contains_key("c0"), "{left:?}");
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["a"], "no lock stays");
}

#[test]
fn a_lock_that_stays_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.lock"), "").unwrap();
    let mut config = Kubeconfig::load(&sources(folder.path(), &["a"])).unwrap();
    config.config.current_context = "x".to_owned();
    let error = config.save().unwrap_err();
    let lock = folder.path().join("a.lock");
    assert!(matches!(&error, KubeconfigError::Locked { lock: named } if *named == lock), "{error}");
    assert!(lock.exists() && !folder.path().join("a").exists());
}

#[test]
fn names_are_those_of_oc() {
    assert_eq!(cluster_name("https://api.crc.testing:6443/"), "api-crc-testing:6443");
    assert_eq!(cluster_name("https://10.1.2.2"), "10-1-2-2:443");
    let context = context_name("pushed", "api-crc-testing:6443", "system:serviceaccount:a:b");
    assert_eq!(context, "pushed/api-crc-testing:6443/system:serviceaccount:a:b");
    assert_eq!(
        split_context_name(&context),
        Some(("pushed", "api-crc-testing:6443", "system:serviceaccount:a:b"))
    );
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), FIRST).unwrap();
    fs::write(folder.path().join("bad"), "clusters: [").unwrap();
    let config = Kubeconfig::load(&sources(folder.path(), &["a"])).unwrap().config;
    let overrides = Overrides { context: Some("nope".into()), ..Overrides::default() };
    assert_eq!(
        config.connect_options(&overrides).unwrap_err().to_string(),
        "context \"nope\" does not exist"
    );
    let error = Kubeconfig::load(&sources(folder.path(), &["bad"])).unwrap_err();
    assert!(matches!(error, KubeconfigError::Yaml { .. }), "{error:?}");
    assert!(!format!("{:?}", User { token: Some("sesame".into()), ..User::default() }).contains("sesame"));
}
