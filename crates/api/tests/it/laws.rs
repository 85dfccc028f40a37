//! Properties that hold for all inputs.

use std::collections::BTreeMap;

use pierhead_api::meta::Time;
use pierhead_api::patch::{PatchSchema, json_patch, merge_patch, strategic_merge_patch};
use pierhead_api::selector::{FieldSelector, LabelSelector};
use pierhead_api::{age, name};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};
use serde_json::{Value, json};

/// Documents as objects of the API are: named members, no directives.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    let any_value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    });
    members(any_value).prop_map(Value::Object)
}

fn members(values: impl Strategy<Value = Value>) -> impl Strategy<Value = serde_json::Map<String, Value>> {
    collection::btree_map("[a-c]{1,2}", values, 0..4).prop_map(|members| members.into_iter().collect())
}

fn merge_patches() -> impl Strategy<Value = Value> {
    (document(), collection::vec("[a-c]{1,2}", 0..3)).prop_map(|(mut patch, removed)| {
        for name in removed {
            patch[name] = Value::Null;
        }
        patch
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![Just("app".to_owned()), Just("example.com/tier".to_owned()), "[a-z]{1,3}"]
}

proptest! {
    #[test]
    fn the_empty_patch_changes_nothing(document in document()) {
        let schema = PatchSchema::of("", "ServiceAccount");
        prop_assert_eq!(&merge_patch(&document, &json!({})), &document);
        prop_assert_eq!(&json_patch(&document, &json!([])).unwrap(), &document);
        prop_assert_eq!(&strategic_merge_patch(&document, &json!({}), &schema).unwrap(), &document);
    }

    #[test]
    fn a_merge_patch_applied_twice_is_applied_once(document in document(), patch in merge_patches()) {
        let once = merge_patch(&document, &patch);
        prop_assert_eq!(&merge_patch(&once, &patch), &once);
    }

    #[test]
    fn without_lists_to_merge_strategic_is_merge(document in document(), patch in document()) {
        let schema = PatchSchema::of("route.openshift.io", "Route");
        let strategic = strategic_merge_patch(&document, &patch, &schema).unwrap();
        prop_assert_eq!(strategic, merge_patch(&document, &patch));
    }

    #[test]
    fn items_with_the_same_key_stay_one(names in collection::vec("[a-e]", 0..6), added in collection::vec("[a-e]", 0..6)) {
        let list = |names: &[String]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
        let mut unique = names;
        unique.sort();
        unique.dedup();
        let schema = PatchSchema::of("", "ServiceAccount");
        let merged = strategic_merge_patch(
            &json!({"secrets": list(&unique)}), &json!({"secrets": list(&added)}), &schema,
        ).unwrap();
        let mut seen: Vec<&str> = merged["secrets"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        let mut expected: Vec<&str> = unique.iter().chain(&added).map(String::as_str).collect();
        seen.sort_unstable();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn selectors_never_panic_and_read_what_they_write(text in "[a-z=!,() <>.\\\\/1-9-]{0,24}") {
        if let Ok(selector) = text.parse::<LabelSelector>() {
            prop_assert_eq!(&selector.to_string().parse::<LabelSelector>().unwrap(), &selector);
        }
        if let Ok(selector) = text.parse::<FieldSelector>() {
            prop_assert_eq!(&selector.to_string().parse::<FieldSelector>().unwrap(), &selector);
        }
    }

    #[test]
    fn equal_and_not_equal_are_opposites(
        labels in collection::btree_map(key(), "[a-c]", 0..3), key in key(), value in "[a-c]",
    ) {
        let labels: BTreeMap<String, String> = labels;
        let matches = |text: String| text.parse::<LabelSelector>().unwrap().matches(&labels);
        let (equal, unequal) = (matches(format!("{key}={value}")), matches(format!("{key}!={value}")));
        prop_assert_eq!(equal, !unequal);
        let (present, absent) = (matches(key.clone()), matches(format!("!{key}")));
        prop_assert_eq!(present, !absent);
    }

    #[test]
    fn ages_never_panic_and_times_survive(seconds in -62_000_000_000_i64..250_000_000_000, other in -62_000_000_000_i64..250_000_000_000) {
        let (at, now) = (jiff::Timestamp::from_second(seconds).unwrap(), jiff::Timestamp::from_second(other).unwrap());
        prop_assert!(!age::short_since(Some(Time(at)), now).is_empty());
        prop_assert!(age::long_since(Some(Time(at)), now).ends_with(" ago"));
        prop_assert_eq!(Time(at).to_string().parse::<Time>().unwrap(), Time(at));
    }

    #[test]
    fn names_that_pass_come_back(text in ".{0,20}") {
        if let Ok(name) = text.parse::<name::ObjectName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<name::Namespace>() {
            prop_assert!(name::is_dns1123_subdomain(name.as_str()));
        }
    }
}
