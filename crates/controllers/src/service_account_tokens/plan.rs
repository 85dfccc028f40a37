//! Which secrets of a namespace are missing, unfilled, outdated or left over. Pure.
//!
//! The order of the steps is such that a run which is cut off anywhere is completed by the next one: nothing is
//! referred to before it exists, and what was made without being referred to is found again by its name or by
//! what it refers to.

use std::collections::BTreeSet;
use std::sync::Arc;

use pierhead_api::core::{Secret, ServiceAccount, secret_type};

use crate::service_account_tokens::names::{self, PULL_SECRET, TOKEN};
use crate::service_account_tokens::secrets::{
    ACCOUNT_NAME, ACCOUNT_UID, CREATED_BY, DOCKERCFG, PULL_SECRET_MAKER, TOKEN_SECRET_NAME, TokenData,
    dockercfg,
};

/// A service account, as far as its secrets name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: String,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The account lists it, pods mount it.
    Account,
    /// It is the password in a pull secret.
    PullSecret,
}

/// Names an account must no longer list, and names it must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    pub(super) remove: BTreeSet<String>,
    pub(super) mount: Vec<String>,
    pub(super) pull: Vec<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Left over by an account that is there.
    Delete {
        name: String,
        uid: String,
    },
    /// Its account is not there, unless it was made since.
    DeleteOrphan {
        secret: Arc<Secret>,
    },
    FillToken {
        account: Account,
        secret: Arc<Secret>,
    },
    CreateToken {
        account: Account,
        name: String,
        purpose: Purpose,
    },
    CreatePullSecret {
        account: Account,
        name: String,
        token_secret: String,
    },
    RewritePullSecret {
        secret: Arc<Secret>,
        token_secret: String,
    },
    Refer {
        account: Account,
        references: References,
    },
}

/// What is to be done in one namespace, in order.
pub(super) fn plan(
    accounts: &[Arc<ServiceAccount>],
    secrets: &[Arc<Secret>],
    hosts: &BTreeSet<String>,
    token_data: &TokenData,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for secret in secrets.iter().filter(|secret| is_managed(secret)) {
        if secret.metadata.deletion_timestamp.is_none()
            && !accounts.iter().any(|account| owns(account, secret))
        {
            steps.push(Step::DeleteOrphan { secret: Arc::clone(secret) });
        }
    }
    for account in accounts.iter().filter(|account| account.metadata.deletion_timestamp.is_none()) {
        let of_account = |secret: &&Arc<Secret>| {
            is_managed(secret) && owns(account, secret) && secret.metadata.deletion_timestamp.is_none()
        };
        let own: Vec<_> = secrets.iter().filter(of_account).map(Arc::clone).collect();
        AccountPlan { account, own, all: secrets, steps: &mut steps, references: References::default() }
            .plan(hosts, token_data);
    }
    steps
}

fn is_token(secret: &Secret) -> bool {
    secret.secret_type == secret_type::SERVICE_ACCOUNT_TOKEN
        && secret.metadata.annotation(ACCOUNT_NAME).is_some()
}

fn is_pull_secret(secret: &Secret) -> bool {
    secret.secret_type == secret_type::DOCKERCFG
        && secret.metadata.annotation(ACCOUNT_NAME).is_some()
        && token_behind(secret).is_some()
}

fn token_behind(secret: &Secret) -> Option<&str> {
    secret.metadata.annotation(TOKEN_SECRET_NAME)
}

/// Whether the secret belongs to some account. Pull secrets that users made belong to nobody.
fn is_managed(secret: &Secret) -> bool {
    is_token(secret) || is_pull_secret(secret)
}

/// A namesake with another uid is another account, whose secrets must not be valid for this one.
pub(super) fn owns(account: &ServiceAccount, secret: &Secret) -> bool {
    let uid = secret.metadata.annotation(ACCOUNT_UID).filter(|uid| !uid.is_empty());
    secret.metadata.annotation(ACCOUNT_NAME) == Some(&account.metadata.name)
        && uid.is_none_or(|uid| uid == account.metadata.uid)
}

fn is_behind_pull_secret(token: &Secret) -> bool {
    token.metadata.annotation(CREATED_BY) == Some(PULL_SECRET_MAKER)
}

fn delete(secret: &Secret) -> Step {
    Step::Delete { name: secret.metadata.name.clone(), uid: secret.metadata.uid.clone() }
}

/// What is to be done for one account.
struct AccountPlan<'a> {
    account: &'a ServiceAccount,
    own: Vec<Arc<Secret>>,
    all: &'a [Arc<Secret>],
    steps: &'a mut Vec<Step>,
    references: References,
}

impl AccountPlan<'_> {
    fn plan(mut self, hosts: &BTreeSet<String>, token_data: &TokenData) {
        self.forget_what_is_gone();
        self.fill_tokens(token_data);
        self.token();
        self.pull_secret(hosts);
        let lists = |name: &String| self.account.secrets.iter().any(|reference| reference.name == *name);
        let pulls =
            |name: &String| self.account.image_pull_secrets.iter().any(|reference| reference.name == *name);
        self.references.mount.retain(|name| !lists(name));
        self.references.pull.retain(|name| !pulls(name));
        if self.references != References::default() {
            self.steps.push(Step::Refer { account: self.identity(), references: self.references });
        }
    }

    fn identity(&self) -> Account {
        Account { name: self.account.metadata.name.clone(), uid: self.account.metadata.uid.clone() }
    }

    fn next_name(&self, purpose: &str, nth: u8) -> String {
        let metadata = &self.account.metadata;
        names::next(&metadata.name, (&metadata.uid, &metadata.resource_version), purpose, nth)
    }

    fn own(&self, name: &str) -> Option<&Arc<Secret>> {
        self.own.iter().find(|secret| secret.metadata.name == name)
    }

    fn listed(&self) -> impl Iterator<Item = &str> {
        let mounted = self.account.secrets.iter().map(|reference| reference.name.as_str());
        mounted.chain(self.account.image_pull_secrets.iter().map(|reference| reference.name.as_str()))
    }

    /// Drops references to secrets with names of ours that are not there. Users may list what is yet to come.
    fn forget_what_is_gone(&mut self) {
        let account = &self.account.metadata.name;
        let gone = self
            .listed()
            .filter(|name| names::is_ours(name, account, TOKEN) || names::is_ours(name, account, PULL_SECRET))
            .filter(|name| !self.all.iter().any(|secret| secret.metadata.name == *name))
            .map(str::to_owned)
            .collect();
        self.references.remove = gone;
    }

    fn fill_tokens(&mut self, token_data: &TokenData) {
        let account = self.identity();
        for secret in self.own.iter().filter(|secret| is_token(secret) && token_data.is_unfilled(secret)) {
            self.steps.push(Step::FillToken { account: account.clone(), secret: Arc::clone(secret) });
        }
    }

    /// One token that the account lists.
    fn token(&mut self) {
        let mut listed = self.account.secrets.iter().filter_map(|reference| self.own(&reference.name));
        if listed.any(|secret| is_token(secret) && !is_behind_pull_secret(secret)) {
            return;
        }
        let name = self.next_name(TOKEN, 0);
        if self.own(&name).is_none() {
            let account = self.identity();
            self.steps.push(Step::CreateToken { account, name: name.clone(), purpose: Purpose::Account });
        }
        self.references.mount.push(name);
    }

    /// One pull secret with a token of its own behind it, and nothing left of earlier ones.
    fn pull_secret(&mut self, hosts: &BTreeSet<String>) {
        let (whole, broken): (Vec<_>, Vec<_>) =
            self.own.iter().filter(|secret| is_pull_secret(secret)).map(Arc::clone).partition(|secret| {
                token_behind(secret).is_some_and(|token| self.own(token).is_some_and(|t| is_token(t)))
            });
        for secret in &broken {
            self.drop_secret(secret);
        }
        let is_listed = |secret: &Arc<Secret>| self.listed().any(|name| name == secret.metadata.name);
        let chosen = whole.iter().find(|secret| is_listed(secret)).or(whole.first()).map(Arc::clone);
        let unlisted: Vec<_> = whole.iter().filter(|secret| !is_listed(secret)).map(Arc::clone).collect();
        for secret in &unlisted {
            if chosen.as_ref().is_some_and(|chosen| !Arc::ptr_eq(chosen, secret)) {
                self.drop_secret(secret);
            }
        }
        let (name, token_in_use) = match &chosen {
            Some(secret) => (secret.metadata.name.clone(), None),
            None => self.make_pull_secret(),
        };
        self.rewrite_outdated(&whole, hosts);
        let in_use: BTreeSet<&str> =
            whole.iter().filter_map(|secret| token_behind(secret)).chain(token_in_use.as_deref()).collect();
        let left_over = self.own.iter().filter(|secret| is_token(secret) && is_behind_pull_secret(secret));
        let left_over = left_over.filter(|secret| !in_use.contains(secret.metadata.name.as_str()));
        self.steps.extend(left_over.map(|secret| delete(secret)));
        self.references.mount.push(name.clone());
        self.references.pull.push(name);
    }

    /// The token first, so that the pull secret is never without one. Gives the names of both.
    fn make_pull_secret(&mut self) -> (String, Option<String>) {
        let token_secret = self.next_name(TOKEN, 1);
        let account = self.identity();
        if self.own(&token_secret).is_none() {
            let (account, name) = (account.clone(), token_secret.clone());
            self.steps.push(Step::CreateToken { account, name, purpose: Purpose::PullSecret });
        }
        let name = self.next_name(PULL_SECRET, 0);
        let create =
            Step::CreatePullSecret { account, name: name.clone(), token_secret: token_secret.clone() };
        self.steps.push(create);
        (name, Some(token_secret))
    }

    fn rewrite_outdated(&mut self, pull_secrets: &[Arc<Secret>], hosts: &BTreeSet<String>) {
        for secret in pull_secrets {
            let Some(token_secret) = token_behind(secret) else { continue };
            let Some(token) = self.own(token_secret).and_then(|secret| secret.text("token")) else {
                continue;
            };
            if secret.data.get(DOCKERCFG) != Some(&dockercfg(token, hosts)) {
                let (secret, token_secret) = (Arc::clone(secret), token_secret.to_owned());
                self.steps.push(Step::RewritePullSecret { secret, token_secret });
            }
        }
    }

    fn drop_secret(&mut self, secret: &Secret) {
        self.steps.push(delete(secret));
        if self.listed().any(|name| name == secret.metadata.name) {
            self.references.remove.insert(secret.metadata.name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use pierhead_api::core::{Secret, ServiceAccount};
    use pierhead_api::meta::ObjectMeta;

    use super::{Step, plan};
    use crate::SigningKeys;
    use crate::service_account_tokens::secrets::{self, ACCOUNT_NAME, TokenData};
    use crate::service_account_tokens::{LegacyTokenRequest, apply};

    /// A namespace that does as the plan says.
    struct World {
        accounts: Vec<Arc<ServiceAccount>>,
        secrets: Vec<Arc<Secret>>,
        hosts: BTreeSet<String>,
        clock: u64,
    }

    impl World {
        fn with_accounts(names: &[&str]) -> Self {
            let hosts = ["127.0.0.1:5000".to_owned()].into();
            let mut world = Self { accounts: Vec::new(), secrets: Vec::new(), hosts, clock: 0 };
            for name in names {
                world.add_account(name);
            }
            world
        }

        fn tick(&mut self) -> String {
            self.clock += 1;
            self.clock.to_string()
        }

        fn add_account(&mut self, name: &str) {
            let mut metadata = ObjectMeta::in_namespace("shop", name);
            metadata.uid = format!("uid-{}", self.tick());
            metadata.resource_version = self.tick();
            self.accounts.push(Arc::new(ServiceAccount { metadata, ..ServiceAccount::default() }));
        }

        fn add_secret(&mut self, mut secret: Secret) {
            if self.secret(&secret.metadata.name).is_none() {
                secret.metadata.uid = format!("uid-{}", self.tick());
                self.secrets.push(Arc::new(secret));
            }
        }

        /// As `oc sa new-token` does.
        fn add_user_token(&mut self, name: &str, account: &str) {
            let mut metadata = ObjectMeta::in_namespace("shop", name);
            metadata.annotations.insert(ACCOUNT_NAME.into(), account.into());
            let secret_type = "kubernetes.io/service-account-token".to_owned();
            self.add_secret(Secret { metadata, secret_type, ..Secret::default() });
        }

        fn secret(&self, name: &str) -> Option<&Arc<Secret>> {
            self.secrets.iter().find(|secret| secret.metadata.name == name)
        }

        fn remove_secret(&mut self, name: &str) {
            self.secrets.retain(|secret| secret.metadata.name != name);
        }

        fn account(&self, name: &str) -> &ServiceAccount {
            self.accounts.iter().find(|account| account.metadata.name == name).unwrap()
        }

        fn plan(&self) -> Vec<Step> {
            plan(&self.accounts, &self.secrets, &self.hosts, &token_data())
        }

        fn token_of(&self, secret: &str) -> pierhead_runtime::Secret<String> {
            pierhead_runtime::Secret::new(self.secret(secret).unwrap().text("token").unwrap().to_owned())
        }

        fn apply(&mut self, step: Step) {
            let token_data = token_data();
            match step {
                Step::Delete { name, uid } => {
                    assert_eq!(self.secret(&name).unwrap().metadata.uid, uid);
                    self.remove_secret(&name);
                }
                Step::DeleteOrphan { secret } => self.remove_secret(&secret.metadata.name),
                Step::FillToken { account, secret } => {
                    let filled =
                        token_data.filled(&secret, &account, &sign(&account.uid, &secret.metadata.name));
                    self.remove_secret(&secret.metadata.name);
                    self.secrets.push(Arc::new(filled));
                }
                Step::CreateToken { account, name, purpose } => {
                    let secret = token_data.token_secret("shop", &name, &account, purpose);
                    self.add_secret(token_data.filled(&secret, &account, &sign(&account.uid, &name)));
                }
                Step::CreatePullSecret { account, name, token_secret } => {
                    let token = self.token_of(&token_secret);
                    let of_token = (token_secret.as_str(), &token);
                    self.add_secret(secrets::pull_secret(("shop", &name), &account, of_token, &self.hosts));
                }
                Step::RewritePullSecret { secret, token_secret } => {
                    let rewritten = secrets::rewritten(&secret, &self.token_of(&token_secret), &self.hosts);
                    self.remove_secret(&secret.metadata.name);
                    self.secrets.push(Arc::new(rewritten));
                }
                Step::Refer { account, references } => {
                    let version = self.tick();
                    let found =
                        self.accounts.iter_mut().find(|found| found.metadata.uid == account.uid).unwrap();
                    let found = Arc::make_mut(found);
                    assert!(apply(found, &references), "a plan without an effect is never done");
                    found.metadata.resource_version = version;
                }
            }
        }

        fn settle(&mut self) {
            for _ in 0..5 {
                let steps = self.plan();
                if steps.is_empty() {
                    return;
                }
                for step in steps {
                    self.apply(step);
                }
            }
            panic!("still to do: {:?}", self.plan());
        }

        /// `account: what it mounts | what it pulls with || all secrets`, with the chance in names left out.
        fn described(&self, account: &str) -> String {
            let plain = |name: &str| name.rsplit_once('-').unwrap().0.to_owned();
            let list = |mut names: Vec<String>| {
                names.sort();
                names.join(" ")
            };
            let found = self.account(account);
            let mounted = list(found.secrets.iter().map(|reference| plain(&reference.name)).collect());
            let pulls =
                list(found.image_pull_secrets.iter().map(|reference| plain(&reference.name)).collect());
            let all = self.secrets.iter().map(|secret| plain(&secret.metadata.name)).collect();
            format!("{mounted} | {pulls} || {}", list(all))
        }

        /// The secret the account mounts, by what its name says it is for.
        fn name_of(&self, account: &str, purpose: &str) -> String {
            let mut listed = self.account(account).secrets.iter();
            listed.find(|reference| reference.name.contains(purpose)).unwrap().name.clone()
        }
    }

    fn token_data() -> TokenData {
        // Tokens that this one key signed count; others say so.
        let keys =
            SigningKeys { is_lost: Arc::new(|token| token.starts_with("lost")), ..SigningKeys::steady() };
        TokenData { cluster_ca: "CA".into(), service_ca: None, keys }
    }

    fn sign(uid: &str, secret: &str) -> pierhead_runtime::Secret<String> {
        let request = LegacyTokenRequest {
            namespace: "shop".into(),
            service_account_name: String::new(),
            service_account_uid: uid.into(),
            secret_name: secret.into(),
        };
        pierhead_runtime::Secret::new(format!("signed {request:?}"))
    }

    /// What an account has in the end: two tokens, one of which nobody lists, and a pull secret.
    const CLASSIC: &str =
        "pusher-dockercfg pusher-token | pusher-dockercfg || pusher-dockercfg pusher-token pusher-token";

    /// Settles, and does the same again with a cut after every single step.
    #[track_caller]
    fn check(prepare: impl Fn(&mut World), expected: &str) {
        let make = || {
            let mut world = World::with_accounts(&["pusher"]);
            world.settle();
            prepare(&mut world);
            world
        };
        let mut world = make();
        let steps = world.plan().len();
        world.settle();
        assert_eq!(world.described("pusher"), expected);
        for cut in 1..steps {
            let mut world = make();
            for step in world.plan().into_iter().take(cut) {
                world.apply(step);
            }
            world.settle();
            assert_eq!(world.described("pusher"), expected, "cut off after {cut} of {steps} steps");
        }
    }

    #[test]
    fn a_new_account_gets_the_classic_secrets() {
        check(|_| {}, CLASSIC);
        check(|world| *world = World::with_accounts(&["pusher"]), CLASSIC);
    }

    #[test]
    fn one_run_is_enough_for_a_new_account() {
        let mut world = World::with_accounts(&["pusher"]);
        for step in world.plan() {
            world.apply(step);
        }
        assert_eq!(world.plan(), []);
        let mounted = world.account("pusher").secrets.iter().map(|reference| reference.name.as_str());
        let expected = [world.name_of("pusher", "token"), world.name_of("pusher", "dockercfg")];
        assert!(mounted.eq(expected), "the token comes first");
        let token = world.secret(&world.name_of("pusher", "token")).unwrap();
        assert_eq!(token.text("ca.crt"), Some("CA"));
        assert_eq!(token.text("namespace"), Some("shop"));
        assert!(token.text("token").unwrap().contains(&token.metadata.name));
    }

    #[test]
    fn what_is_deleted_is_made_again_under_another_name() {
        for purpose in ["token", "dockercfg"] {
            check(|world| world.remove_secret(&world.name_of("pusher", purpose)), CLASSIC);
            let mut world = World::with_accounts(&["pusher"]);
            world.settle();
            let deleted = world.name_of("pusher", purpose);
            world.remove_secret(&deleted);
            world.settle();
            assert!(world.secret(&deleted).is_none(), "{deleted} came back");
        }
    }

    #[test]
    fn a_pull_secret_goes_with_the_token_behind_it_and_the_token_with_it() {
        let behind = |world: &World| {
            let pull_secret = world.secret(&world.name_of("pusher", "dockercfg")).unwrap();
            pull_secret.metadata.annotation("openshift.io/token-secret.name").unwrap().to_owned()
        };
        check(|world| world.remove_secret(&behind(world)), CLASSIC);
        let mut world = World::with_accounts(&["pusher"]);
        world.settle();
        let (pull_secret, token) = (world.name_of("pusher", "dockercfg"), behind(&world));
        world.remove_secret(&pull_secret);
        world.settle();
        assert!(world.secret(&token).is_none(), "the token behind a deleted pull secret is still valid");
    }

    #[test]
    fn tokens_of_users_are_filled_and_not_listed() {
        let expected = format!("{CLASSIC} pusher-token");
        check(|world| world.add_user_token("pusher-token-abcde", "pusher"), &expected);
        let mut world = World::with_accounts(&["pusher"]);
        world.settle();
        world.add_user_token("mine-1", "pusher");
        world.settle();
        let uid = &world.account("pusher").metadata.uid;
        let filled = world.secret("mine-1").unwrap();
        assert_eq!(filled.metadata.annotation("kubernetes.io/service-account.uid"), Some(uid.as_str()));
        assert!(filled.text("token").unwrap().contains("mine-1"));
    }

    #[test]
    fn secrets_go_with_their_account() {
        let mut world = World::with_accounts(&["pusher"]);
        world.add_user_token("mine-1", "pusher");
        world.add_user_token("stray-1", "nobody");
        world.settle();
        assert!(world.secret("stray-1").is_none());
        world.accounts.clear();
        world.settle();
        assert_eq!(world.secrets, []);
    }

    #[test]
    fn a_namesake_gets_secrets_of_its_own() {
        let mut world = World::with_accounts(&["pusher"]);
        world.settle();
        let before: Vec<_> = world.secrets.iter().map(|secret| secret.metadata.name.clone()).collect();
        world.accounts.clear();
        world.add_account("pusher");
        world.settle();
        assert_eq!(world.described("pusher"), CLASSIC);
        assert!(before.iter().all(|name| world.secret(name).is_none()));
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let own_pull_secret = |world: &mut World| {
            let secret_type = "kubernetes.io/dockercfg".to_owned();
            let metadata = ObjectMeta::in_namespace("shop", "quay-pull");
            world.add_secret(Secret { metadata, secret_type, ..Secret::default() });
            let references = super::References { pull: ["quay-pull".into()].into(), ..Default::default() };
            assert!(apply(Arc::make_mut(&mut world.accounts[0]), &references));
        };
        let expected = "pusher-dockercfg pusher-token | pusher-dockercfg quay || \
                        pusher-dockercfg pusher-token pusher-token quay";
        check(own_pull_secret, expected);
    }

    #[test]
    fn pull_secrets_follow_the_hosts_of_the_registry() {
        let mut world = World::with_accounts(&["pusher"]);
        world.settle();
        world.hosts.insert("registry.example".into());
        check(|world| world.hosts.extend(["registry.example".to_owned()]), CLASSIC);
        world.settle();
        let pull_secret = world.secret(&world.name_of("pusher", "dockercfg")).unwrap();
        let dockercfg: serde_json::Value =
            serde_json::from_str(pull_secret.text(".dockercfg").unwrap()).unwrap();
        let hosts: Vec<_> = dockercfg.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(hosts, ["127.0.0.1:5000", "registry.example"]);
        let token = pull_secret.metadata.annotation("openshift.io/token-secret.value").unwrap();
        assert_eq!(dockercfg["registry.example"]["password"], token);
        assert_eq!(dockercfg["registry.example"]["username"], "serviceaccount");
        assert_eq!(dockercfg["registry.example"]["email"], "serviceaccount@example.org");
    }

    #[test]
    fn tokens_of_keys_that_count_no_more_are_signed_anew() {
        let mut world = World::with_accounts(&["pusher"]);
        world.add_user_token("mine", "pusher");
        world.settle();
        let good: Vec<String> = world.secrets.iter().map(|secret| secret.metadata.name.clone()).collect();
        for secret in &mut world.secrets {
            let secret = Arc::make_mut(secret);
            if secret.data.contains_key("token") {
                secret.data.insert("token".into(), "lost".into());
            }
        }
        let hosts = world.hosts.clone();
        world.settle();
        for secret in &world.secrets {
            assert!(good.contains(&secret.metadata.name), "secrets stay what they are");
            assert!(secret.text("token").is_none_or(|token| token.starts_with("signed")));
        }
        let pull = world.secret(&world.name_of("pusher", "dockercfg")).unwrap();
        let behind = world.token_of(super::token_behind(pull).unwrap());
        assert_eq!(pull.data.get(".dockercfg"), Some(&secrets::dockercfg(behind.expose(), &hosts)));
    }
}
