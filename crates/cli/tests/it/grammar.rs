//! The grammar itself.

use crate::api::Api;

#[test]
fn every_verb_is_well_formed() {
    pierhead_cli::command("oc").debug_assert();
}

#[tokio::test]
async fn the_list_of_verbs_and_the_help_of_some() {
    let help = Api::default().run("--help -n x").await.ok();
    insta::assert_snapshot!("help", help);
    for verb in [
        "get",
        "create",
        "expose",
        "tag",
        "import-image",
        "rollout",
        "rollout status",
        "deploy",
        "logs",
        "set triggers",
        "secrets new-dockercfg",
        "policy add-role-to-user",
        "registry login",
    ] {
        let help = Api::default().run(&format!("{verb} --help")).await.ok();
        insta::assert_snapshot!(format!("help of {verb}").replace(' ', "-"), help);
    }
}

#[tokio::test]
async fn a_wrong_command_line_exits_with_1_as_oc_does() {
    let text = Api::default().run("frobnicate").await.failed();
    assert!(text.contains("unrecognized subcommand 'frobnicate'"), "{text}");
    Api::default().run("get --no-such-flag").await.failed();
}
