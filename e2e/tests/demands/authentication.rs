//! Tokens, their scopes, and what a token with scopes may ask of itself.

use anyhow::{Context as _, Result};
use pierhead_testkit::{Actor, Site};

use super::{does, fails, feeds, run, says};

#[tokio::test(flavor = "multi_thread")]
async fn demands_of_authentication() -> Result<()> {
    let site = Site::start().await?;
    let admin = site.admin()?;
    let ed = site.user("scoped-user").await?;
    does(&ed, "new-project scopes").await;
    let uid = does(&admin, "get user scoped-user -o jsonpath={.metadata.uid}").await;
    let tokens = Tokens { site: &site, admin: &admin, uid };
    a_token_for_the_user_shows_the_user_alone(&tokens).await?;
    a_token_that_lists_projects_does_nothing_else(&tokens).await?;
    a_token_for_a_role_has_its_rights_in_the_project(&tokens).await?;
    rights_without_scopes_can_be_asked_for(&tokens).await?;
    reviews_can_be_posted_as_they_are(&ed).await?;
    site.stop()
}

struct Tokens<'s> {
    site: &'s Site,
    admin: &'s Actor,
    uid: String,
}

impl Tokens<'_> {
    /// Somebody with a token that an administrator made, with these scopes.
    async fn holder(&self, name: &str, scopes: &str) -> Result<Actor> {
        let secret = format!("sha256~{name}{}", "x".repeat(32));
        let digest = {
            use sha2::Digest as _;
            let hash = sha2::Sha256::digest(secret.strip_prefix("sha256~").context("it has one")?.as_bytes());
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash)
        };
        let token = format!(
            "{{apiVersion: oauth.openshift.io/v1, kind: OAuthAccessToken, metadata: {{name: 'sha256~{digest}'}}, \
             clientName: openshift-challenging-client, expiresIn: 86400, userName: scoped-user, userUID: '{}', \
             redirectURI: 'https://localhost/', scopes: [{scopes}]}}",
            self.uid.trim()
        );
        feeds(self.admin, "create -f -", &token).await;
        let actor = self.site.stranger(name)?;
        let config = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: '{}', \
             certificate-authority: '{}'}}}}], users: [{{name: u, user: {{token: '{secret}'}}}}], contexts: [{{name: c, \
             context: {{cluster: c, user: u, namespace: scopes}}}}]}}",
            self.site.api_url(),
            self.site.authority().display()
        );
        std::fs::write(actor.kubeconfig(), config)?;
        Ok(actor)
    }
}

async fn a_token_for_the_user_shows_the_user_alone(tokens: &Tokens<'_>) -> Result<()> {
    let holder = tokens.holder("info", "'user:info'").await?;
    says(&holder, "get user/~ -o jsonpath={.metadata.name}", "scoped-user").await;
    fails(&holder, "get pods", 1, "cannot list").await;
    fails(&holder, "get pods", 1, "prevent this action").await;
    Ok(())
}

async fn a_token_that_lists_projects_does_nothing_else(tokens: &Tokens<'_>) -> Result<()> {
    let holder = tokens.holder("lister", "'user:list-projects'").await?;
    does(&holder, "get projects").await;
    fails(&holder, "get user/~", 1, "prevent this action").await;
    Ok(())
}

async fn a_token_for_a_role_has_its_rights_in_the_project(tokens: &Tokens<'_>) -> Result<()> {
    let holder = tokens.holder("viewer", "'role:view:scopes'").await?;
    does(&holder, "get pods").await;
    fails(&holder, "create configmap x", 1, "prevent this action").await;
    fails(&holder, "get pods -n default", 1, "cannot list").await;
    let editor = tokens.holder("editor", "'role:admin:*'").await?;
    fails(&editor, "get secrets", 1, "prevent this action").await;
    let trusted = tokens.holder("trusted", "'role:admin:*:!'").await?;
    does(&trusted, "get secrets").await;
    Ok(())
}

async fn rights_without_scopes_can_be_asked_for(tokens: &Tokens<'_>) -> Result<()> {
    let holder = tokens.holder("asker", "'user:info', 'user:check-access'").await?;
    let outcome = run(&holder, "policy can-i get pods").await;
    assert!(outcome.code == Some(1) && outcome.said("no"), "{outcome}");
    let ed = tokens.site.user("scoped-user").await?;
    says(&ed, "policy can-i get pods -n scopes --ignore-scopes", "yes").await;
    says(&ed, "policy can-i get pods -n scopes", "yes").await;
    let outcome = run(&ed, "policy can-i get pods -n scopes --scopes=user:info").await;
    assert!(outcome.code == Some(1) && outcome.said("no"), "{outcome}");
    says(&ed, "policy can-i --list -n scopes --scopes=role:view:scopes", "pods").await;
    Ok(())
}

async fn reviews_can_be_posted_as_they_are(ed: &Actor) -> Result<()> {
    let review =
        r#"{"kind": "LocalSubjectAccessReview", "apiVersion": "v1", "verb": "list", "resource": "pods"}"#;
    let line = "create --raw /oapi/v1/namespaces/scopes/localsubjectaccessreviews -f -";
    let answer = feeds(ed, line, review).await;
    assert!(answer.contains("SubjectAccessReviewResponse") && answer.contains("true"), "{answer}");
    Ok(())
}
