//! The pages people see. Every value that is not ours goes through `escape`.

use http::StatusCode;

use super::answer::Answer;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#151515;background:#f3f3f3;margin:0}\
    main{max-width:36rem;margin:4rem auto;padding:1.5rem 2rem 2rem;background:#fff;border:1px solid #d2d2d2;\
    border-top:3px solid #06c}h1{font-size:1.5rem;font-weight:500;margin:.25rem 0 1.25rem}h2{font-size:1.1rem}\
    label{display:block;font-size:.9rem}input{display:block;width:100%;font:inherit;padding:.4rem .5rem;\
    margin:.25rem 0 1rem;box-sizing:border-box;border:1px solid #8a8d90}\
    button,.choice{font:inherit;padding:.45rem 1.5rem;border:1px solid #06c;background:#06c;color:#fff;cursor:pointer}\
    button[name=deny]{background:#fff;color:#06c}.choices{list-style:none;padding:0}\
    .choice{display:block;margin:.5rem 0;text-align:center;text-decoration:none}a{color:#06c}\
    code,pre{background:#f3f3f3;padding:.2rem .4rem;overflow-wrap:anywhere}\
    pre{white-space:pre-wrap;padding:.6rem}.error{color:#a30000}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
}

/// Text as it must stand in HTML, inside quotes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value))
}

/// The sentence for a `reason`; other words than ours are not shown.
pub(super) fn reason_text(reason: &str) -> &'static str {
    match reason {
        "user_required" => "Login is required. Please try again.",
        "token_expired" => "Could not check the form. Please try again.",
        "access_denied" => "Invalid login or password. Please try again.",
        "too_many_attempts" => "Too many wrong passwords. Please try again in a minute.",
        "mapping_claim_error" => "Could not create user: the name belongs to another identity.",
        "mapping_lookup_error" => "Could not find a user for this identity.",
        "user_name_error" => "Could not create user: the provider's name for it is not allowed here.",
        "provider_unavailable" => "The identity provider does not answer. Please try again later.",
        _ => "An authentication error occurred.",
    }
}

/// What the form for name and password shows.
pub(super) struct LoginForm<'a> {
    /// Where it is posted to: a path of ours, as it came.
    pub(super) action: &'a str,
    /// The one provider it is for.
    pub(super) provider: Option<&'a str>,
    pub(super) then: &'a str,
    pub(super) csrf: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) username: Option<&'a str>,
}

pub(super) fn login(form: &LoginForm<'_>) -> String {
    let LoginForm { action, provider, then, csrf, reason, username } = *form;
    let error =
        reason.map(|reason| format!("<p class=\"error\">{}</p>", reason_text(reason))).unwrap_or_default();
    let form = format!(
        "{error}<form method=\"post\" action=\"{}\">{}{}\
         <label>Username<input name=\"username\" autocomplete=\"username\" autofocus value=\"{}\"></label>\
         <label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\"></label>\
         <button>Log in</button></form>",
        escape(action),
        hidden("then", then),
        hidden("csrf", csrf),
        escape(username.unwrap_or_default()),
    );
    let title = provider.map_or("Log in".to_owned(), |name| format!("Log in with {}", escape(name)));
    page(&title, &form)
}

/// The providers to choose from: their names, and where each is.
pub(super) fn choice(links: &[(String, String)]) -> String {
    let link = |(name, place): &(String, String)| {
        format!("<li><a class=\"choice\" href=\"{}\">{}</a></li>", escape(place), escape(name))
    };
    let list: String = links.iter().map(link).collect();
    page("Log in with", &format!("<ul class=\"choices\">{list}</ul>"))
}

/// What went wrong, and where to begin again.
pub(super) fn failure(title: &str, text: &str, again: Option<&str>) -> String {
    let again = again.map(|place| format!("<p><a href=\"{}\">Try again</a></p>", escape(place)));
    let text = escape(text);
    page(title, &format!("<p class=\"error\">{text}</p>{}", again.unwrap_or_default()))
}

pub(super) fn display_form(code: &str, csrf: &str) -> String {
    let form = format!(
        "<form method=\"post\" action=\"/oauth/token/display\">{}{}<button>Display Token</button></form>",
        hidden("code", code),
        hidden("csrf", csrf),
    );
    page("Display your API token", &form)
}

pub(super) fn display_error(text: &str) -> String {
    let body = format!(
        "<p class=\"error\">{}</p><p><a href=\"/oauth/token/request\">Request another token</a></p>",
        escape(text)
    );
    page("No API token", &body)
}

pub(super) fn token(token: &str, server: &str) -> String {
    let (token, server) = (escape(token), escape(server));
    let body = format!(
        "<h2>Your API token is</h2><p><code>{token}</code></p>\
         <h2>Log in with this token</h2><pre>oc login --token={token} --server={server}</pre>\
         <h2>Use this token directly against the API</h2>\
         <pre>curl -H \"Authorization: Bearer {token}\" \"{server}/apis/user.openshift.io/v1/users/~\"</pre>\
         <p><a href=\"/oauth/token/request\">Request another token</a></p>\
         <form method=\"post\" action=\"/logout\"><button>Logout</button></form>"
    );
    page("Your API token", &body)
}

/// What the approval page asks about.
pub(super) struct Approval<'a> {
    pub(super) user: &'a str,
    pub(super) client: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) then: &'a str,
    pub(super) csrf: &'a str,
}

pub(super) fn approval(approval: &Approval<'_>) -> String {
    let Approval { user, client, scopes, then, csrf } = approval;
    let items: String =
        scopes.iter().map(|scope| format!("<li><code>{}</code></li>", escape(scope))).collect();
    let body = format!(
        "<p><b>{}</b> wants to access your account (<b>{}</b>) with:</p><ul>{items}</ul>\
         <form method=\"post\" action=\"/oauth/authorize/approve\">{}{}{}{}\
         <button name=\"approve\" value=\"true\">Allow</button> \
         <button name=\"deny\" value=\"true\">Deny</button></form>",
        escape(client),
        escape(user),
        hidden("client_id", client),
        hidden("scope", &scopes.join(" ")),
        hidden("then", then),
        hidden("csrf", csrf),
    );
    page("Authorize Access", &body)
}

/// `GET /oauth/token/implicit`: clients take the token from the address of this page and do not load it.
pub(super) fn implicit(server: &str) -> Answer {
    let text = format!(
        "You have reached this page by following a redirect Location header from an OAuth authorize request.\n\n\
         If a response token has been passed to the client application, it will have been in the fragment.\n\n\
         To request a token in a browser, go to {server}/oauth/token/request.\n"
    );
    Answer::text(StatusCode::OK, &text)
}

#[cfg(test)]
mod tests {
    use super::{LoginForm, choice, display_error, failure, login};

    #[test]
    fn foreign_text_stays_text() {
        let page = login(&LoginForm {
            action: "/login/a\"><script>",
            provider: Some("<script>"),
            then: "/\"><script>",
            csrf: "csrf",
            reason: Some("<b>"),
            username: Some("'\"><img src=x>"),
        });
        assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        assert!(!page.contains("<b>"), "an unknown reason is not repeated");
        assert!(display_error("<i>").contains("&lt;i&gt;"));
        let page = failure("Log in", "<i>", Some("/\"><i>"));
        assert!(!page.contains("<i>") && page.matches("&lt;i&gt;").count() == 2, "{page}");
        assert!(
            choice(&[("<i>".into(), "/\"><i>".into())]).contains("href=\"/&quot;&gt;&lt;i&gt;\">&lt;i&gt;<")
        );
    }
}
