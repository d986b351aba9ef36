//! The schema, its defaults, and the names that users see.

use super::*;

fn spec(json: Value) -> ElectionGroupSpec {
    serde_json::from_value(json).unwrap()
}

/// Fills in absent fields as the API server does: from the outside in.
fn with_defaults(schema: &JSONSchemaProps, value: &mut Value) {
    if let (Some(fields), Some(properties)) = (value.as_object_mut(), &schema.properties) {
        for (name, property) in properties {
            if let (None, Some(default)) = (fields.get(name), &property.default) {
                fields.insert(name.clone(), default.0.clone());
            }
            if let Some(field) = fields.get_mut(name) {
                with_defaults(property, field);
            }
        }
    }
}

#[test]
fn a_spec_with_nothing_but_a_selector_has_all_defaults() {
    let spec = spec(json!({"selector": {"matchLabels": {"app": "orders"}}}));
    let lease = LeaseSpec { name: None, namespace: None, duration_seconds: None, renew_seconds: None };
    let role_label =
        RoleLabelSpec { key: "role".into(), leader: "leader".into(), follower: "follower".into() };
    let failover = FailoverSpec {
        not_ready_seconds: 0,
        node_silent_seconds: 35,
        min_ready_seconds: 0,
        cooldown_seconds: 0,
        nominee_seconds: 5,
        when_no_candidate: WhenNoCandidate::Keep,
    };
    let expected = ElectionGroupSpec {
        selector: spec.selector.clone(),
        mode: Mode::Managed,
        lease,
        role_label,
        routing: RoutingSpec::default(),
        failover,
        preference: Vec::new(),
        failback: Failback::Never,
        failback_quiet_seconds: 60,
        paused: false,
        history_limit: 10,
    };
    assert_eq!(spec, expected);
}

#[test]
fn the_duration_of_the_lease_depends_on_the_mode_and_its_renewal_on_the_duration() {
    for (mode, lease, expected) in [
        ("Managed", json!({}), (60, 20)),
        ("Observed", json!({}), (15, 5)),
        ("Managed", json!({"durationSeconds": 15, "renewSeconds": 5}), (15, 5)),
        ("Managed", json!({"durationSeconds": 3}), (3, 1)),
        ("Managed", json!({"renewSeconds": 10}), (60, 10)),
    ] {
        let spec = spec(json!({"selector": {"matchLabels": {"app": "a"}}, "mode": mode, "lease": lease}));
        assert_eq!((spec.lease_duration_seconds(), spec.lease_renew_seconds()), expected, "{mode} {lease}");
        let written = &serde_json::to_value(&spec).unwrap()["lease"];
        assert_eq!(*written, lease, "what is not set stays so");
    }
}

#[test]
fn empty_and_absent_sections_have_the_defaults_of_the_types() {
    let selector = json!({"matchLabels": {"app": "orders"}});
    let absent = spec(json!({"selector": selector}));
    let empty =
        spec(json!({"selector": selector, "lease": {}, "roleLabel": {}, "failover": {}, "preference": []}));
    assert_eq!(absent, empty);
    assert_eq!(
        absent,
        ElectionGroupSpec { selector: absent.selector.clone(), ..ElectionGroupSpec::default() }
    );
}

#[test]
fn the_api_server_fills_in_the_defaults_that_the_code_assumes() {
    let root = version().schema.unwrap().open_api_v3_schema.unwrap();
    for sections in [json!({}), json!({"lease": {}, "roleLabel": {}, "failover": {}})] {
        let mut object = json!({"spec": sections});
        object["spec"]["selector"] = json!({"matchLabels": {"app": "orders"}});
        with_defaults(&root, &mut object);
        let assumed = spec(json!({"selector": {"matchLabels": {"app": "orders"}}}));
        assert_eq!(object["spec"], serde_json::to_value(assumed).unwrap());
    }
}

#[test]
fn a_status_has_no_default_but_that_of_an_unserved_group_and_requires_nothing() {
    fn assert_free(path: &str, schema: &Value) {
        let unserved = serde_json::to_value(api::unserved_status()).unwrap();
        let default = if path == "status" { unserved } else { Value::Null };
        assert_eq!(schema["default"], default, "{path}");
        assert_eq!(schema["required"], Value::Null, "{path}");
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            assert_free(&format!("{path}.{name}"), property);
        }
    }
    assert_free("status", &field("status"));
    assert_free("status.history[]", &field("status.history[]"));
}

#[test]
fn numbers_have_the_ranges_of_the_design() {
    for (path, least, most) in [
        ("spec.lease.durationSeconds", 3.0, 86_400.0),
        ("spec.lease.renewSeconds", 1.0, 43_199.0),
        ("spec.failover.notReadySeconds", 0.0, 86_400.0),
        ("spec.failover.nodeSilentSeconds", 0.0, 86_400.0),
        ("spec.failover.minReadySeconds", 0.0, 86_400.0),
        ("spec.failover.cooldownSeconds", 0.0, 86_400.0),
        ("spec.preference[].weight", -1000.0, 1000.0),
        ("spec.failbackQuietSeconds", 0.0, 86_400.0),
        ("spec.historyLimit", 0.0, 50.0),
    ] {
        let schema = field(path);
        assert_eq!(schema["type"], "integer", "{path}");
        assert_eq!(
            (schema["minimum"].as_f64(), schema["maximum"].as_f64()),
            (Some(least), Some(most)),
            "{path}"
        );
    }
}

#[test]
fn every_field_and_every_rule_explains_itself() {
    fn assert_explained(path: &str, schema: &Value) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.ends_with('.') && !text.contains('\n'), "{path}: {text:?}");
            assert_explained(&path, property);
            assert_explained(&path, &property["items"]);
        }
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].is_string(), "{path}: {rule}");
            assert!(rule["messageExpression"].is_null(), "{path}: costs too much: {rule}");
        }
    }
    assert_explained("spec", &field("spec"));
    assert_explained("status", &field("status"));
}

#[test]
fn conditions_are_a_list_map_by_type() {
    let schema = field("status.conditions");
    assert_eq!(schema["x-kubernetes-list-type"], "map");
    assert_eq!(schema["x-kubernetes-list-map-keys"], json!(["type"]));
}

#[test]
fn the_columns_are_those_of_the_design() {
    let columns = version().additional_printer_columns.unwrap();
    let names = |wide: bool| -> Vec<_> {
        let columns = columns.iter().filter(|column| (column.priority.unwrap_or_default() > 0) == wide);
        columns.map(|column| column.name.as_str()).collect()
    };
    assert_eq!(names(false), ["Leader", "Ready", "Reason", "Eligible", "Age"]);
    assert_eq!(names(true), ["Term", "Mode"]);
}

#[test]
fn the_names_are_those_of_the_design() {
    let crd = api::crd();
    assert_eq!(crd.metadata.name.as_deref(), Some("electiongroups.election-operator.io"));
    assert_eq!(crd.spec.names.short_names.as_deref(), Some(&["eg".to_owned()][..]));
    assert_eq!(crd.spec.names.categories.as_deref(), Some(&["election".to_owned()][..]));
    assert_eq!(crd.spec.scope, "Namespaced");
    assert_eq!(version().name, "v1alpha1");
    assert!(version().subresources.unwrap().status.is_some());
    let selectable: Vec<_> = version().selectable_fields.unwrap().into_iter().map(|f| f.json_path).collect();
    assert_eq!(selectable, [".status.leader.name"]);
}

#[test]
fn a_group_without_a_lease_name_uses_its_own() {
    let mut group = ElectionGroup::new("orders", ElectionGroupSpec::default());
    assert_eq!(group.lease_name(), "orders");
    group.spec.lease.name = Some("orders-leader".into());
    assert_eq!(group.lease_name(), "orders-leader");
}

#[test]
fn a_seconds_field_that_is_negative_does_not_parse() {
    let spec = json!({"selector": {}, "failover": {"notReadySeconds": -1}});
    assert!(serde_json::from_value::<ElectionGroupSpec>(spec).is_err());
}
