//! The rights of the operator: named when one is missing, and none too many.

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::audit;
use crate::harness::cluster::Cluster;
use crate::harness::{Operator, World, eventually};

/// The account the chart makes, as the API server's log names it.
const CHART_USER: &str = "system:serviceaccount:election-operator:election-operator";

/// A service account with rules of its own, to which some are added later.
pub(crate) struct Account<'a> {
    world: &'a World,
    pub(crate) kubeconfig: PathBuf,
}

impl<'a> Account<'a> {
    /// Has the chart's rules, less some.
    async fn without(world: &'a World, missing: impl Fn(&str, &str) -> bool) -> Self {
        let mut rules = Vec::new();
        for (verb, group, resource) in granted(world).await {
            if !missing(&verb, &resource) {
                rules.push(json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] }));
            }
        }
        Self::with(world, &rules).await
    }

    /// Has these rules.
    pub(crate) async fn with(world: &'a World, rules: &[Value]) -> Self {
        world.kubectl(&["create", "serviceaccount", "limited"]).await;
        let account = Self { world, kubeconfig: Self::kubeconfig(world).await };
        account.bind("limited", rules).await;
        account
    }

    async fn kubeconfig(world: &World) -> PathBuf {
        let token = world.kubectl(&["create", "token", "limited"]).await;
        let of_operator = Cluster::find().operator.display().to_string();
        let view = ["config", "view", "--raw", "--flatten", "-o", "json", "--kubeconfig", &of_operator];
        let mut config: Value = serde_json::from_str(&world.kubectl(&view).await).unwrap();
        config["users"][0]["user"] = json!({ "token": token.trim() });
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.kubeconfig", world.namespace));
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Roles in the namespace are all that an operator for one namespace may need.
    async fn bind(&self, name: &str, rules: &[Value]) {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": name }, "rules": rules,
        });
        let path = self.kubeconfig.with_extension(format!("{name}.json"));
        std::fs::write(&path, role.to_string()).unwrap();
        self.world.kubectl(&["apply", "-f", &path.display().to_string()]).await;
        std::fs::remove_file(&path).unwrap();
        let account = format!("--serviceaccount={}:limited", self.world.namespace);
        self.world.kubectl(&["create", "rolebinding", name, &format!("--role={name}"), &account]).await;
    }

    /// Gives back what was missing.
    async fn grant(&self, group: &str, resource: &str, verbs: &[&str]) {
        self.bind("granted", &[json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })])
            .await;
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

/// Lets nobody change pod `name`, as an admission rule of the cluster's owner might.
async fn freeze(world: &World, name: &str) {
    let policy = json!({
        "metadata": { "name": world.namespace },
        "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": world.namespace } },
                "resourceRules": [
                    { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"] },
                ],
            },
            "validations": [{ "expression": format!("object.metadata.name != '{name}'"), "message": "it is frozen" }],
        },
    });
    let binding = json!({
        "metadata": { "name": world.namespace },
        "spec": { "policyName": world.namespace, "validationActions": ["Deny"] },
    });
    let policies = Api::<ValidatingAdmissionPolicy>::all(world.client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(world.client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(policy).unwrap()).await.unwrap();
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    eventually("the admission rule is in force", async || {
        let patch = json!({ "metadata": { "annotations": { "try": "again" } } });
        world.try_patch(Kind::Pod, name, patch).await.is_err().then_some(())
    })
    .await;
}

/// Verb, API group and resource of everything the chart allows its operator.
async fn granted(world: &World) -> BTreeSet<(String, String, String)> {
    let json = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let bindings = json(world.kubectl(&["get", "clusterrolebindings", "-o", "json"]).await);
    let mut rights = BTreeSet::new();
    for binding in bindings.list("/items") {
        let of_chart = |subject: &Value| {
            subject.text("/kind") == "ServiceAccount"
                && format!("system:serviceaccount:{}:{}", subject.text("/namespace"), subject.text("/name"))
                    == CHART_USER
        };
        if !binding.list("/subjects").iter().any(of_chart) {
            continue;
        }
        let role =
            json(world.kubectl(&["get", "clusterrole", binding.text("/roleRef/name"), "-o", "json"]).await);
        for rule in role.list("/rules") {
            for (verb, group, resource) in combinations(rule) {
                rights.insert((verb, group, resource));
            }
        }
    }
    assert!(!rights.is_empty(), "the chart is not installed for {CHART_USER}");
    rights
}

fn combinations(rule: &Value) -> Vec<(String, String, String)> {
    let texts = |pointer| rule.list(pointer).iter().map(|text| text.as_str().unwrap_or_default().to_owned());
    let mut found = Vec::new();
    for verb in texts("/verbs") {
        for group in texts("/apiGroups") {
            found.extend(texts("/resources").map(|resource| (verb.clone(), group.clone(), resource)));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_missing_right_to_read_is_named_and_its_return_is_noticed() {
    let world = World::new("rights-read").await;
    world.pod("a").await;
    let account =
        Account::without(&world, |verb, resource| resource == "leases" && ["list", "watch"].contains(&verb))
            .await;
    let mut operator = Operator::spawn_as(&world, &account.kubeconfig);
    let named = |text: &str| {
        text.contains("cannot")
            && text.contains("leases")
            && (text.contains("list") || text.contains("watch"))
    };
    operator.until_readyz("missing a right", |code, text| code == 503 && named(text)).await;
    assert!(operator.log().lines().any(named), "{}", operator.log());
    assert!(operator.is_running());
    account.grant("coordination.k8s.io", "leases", &["list", "watch"]).await;
    operator.ready().await;
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    drop((operator, account));
    world.finish().await;
}

/// An operator that may not label the pod of its group.
async fn unable_to_label(world: &World) -> (Operator, Account<'_>) {
    world.pod("a").await;
    let account = Account::without(world, |verb, resource| (verb, resource) == ("patch", "pods")).await;
    let operator = Operator::spawn_as(world, &account.kubeconfig);
    world.group("orders", json!({})).await;
    (operator, account)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_missing_right_to_write_is_named_and_its_return_is_noticed() {
    let world = World::new("rights-write").await;
    let (operator, account) = unable_to_label(&world).await;
    let named = |text: &str| text.contains("patch") && text.contains("pods");
    eventually("a text that names the missing right", async || {
        let (_, text) = operator.get("/readyz?verbose").await?;
        named(&text).then_some(())
    })
    .await;
    assert!(operator.log().lines().any(named), "{}", operator.log());
    let group = world.get(Kind::Group, "orders").await.unwrap();
    assert!(!group.has("Ready", "True"), "{group:#}");
    account.grant("", "pods", &["patch"]).await;
    world.until_led_by("orders", "a").await;
    operator.until_readyz("content again", |code, text| code == 200 && !named(text)).await;
    drop((operator, account));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn what_a_deleted_group_lacked_keeps_nobody_from_being_ready() {
    let world = World::new("rights-gone").await;
    let (operator, account) = unable_to_label(&world).await;
    let named = format!("patch pods in namespace {}: pods \"a\" is forbidden", world.namespace);
    operator.until_readyz("missing a right", |code, text| code == 503 && text.contains(&named)).await;
    world.delete(Kind::Group, "orders").await;
    operator.until_readyz("content again", |code, text| code == 200 && !text.contains(&named)).await;
    drop((operator, account));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_namespace_without_rights_holds_up_no_other() {
    let (world, other) = (World::new("rights-here").await, World::new("rights-there").await);
    world.pods(&["a", "b"]).await;
    let account = Account::without(&world, |_, _| false).await;
    let operator = Operator::spawn_for(&world, &account.kubeconfig, &[&world.namespace, &other.namespace]);
    let named = |text: &str| text.contains("cannot") && text.contains(&other.namespace);
    operator.until_readyz("missing a right", |code, text| code == 503 && named(text)).await;
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    drop((operator, account));
    world.finish().await;
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_pod_that_an_admission_rule_freezes_is_named_in_an_event_and_waited_for() {
    let world = World::new("rights-admission").await;
    world.pods(&["a", "b"]).await;
    freeze(&world, "b").await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    let event = world.until_event("orders", "WriteRefused").await;
    let note = event.text("/note");
    assert!(note.contains(&format!("pod {}/b", world.namespace)) && note.contains("it is frozen"), "{note}");
    assert_eq!(world.role("a").await, None, "b might still get the label from an earlier operator");
    world.kubectl(&["delete", "validatingadmissionpolicybinding", &world.namespace]).await;
    world.kubectl(&["delete", "validatingadmissionpolicy", &world.namespace]).await;
    world.until_led_by("orders", "a").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn events_that_cannot_be_written_hold_up_nothing() {
    let world = World::new("rights-events").await;
    world.pods(&["a", "b"]).await;
    let account = Account::without(&world, |_, resource| resource == "events").await;
    let operator = Operator::spawn_as(&world, &account.kubeconfig);
    world.group("orders", json!({})).await;
    world.until_led_by("orders", "a").await;
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    drop((operator, account));
    world.finish().await;
}

/// Looks back at what all other tests made the operator do since the cluster was started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "looks back at all other tests: `make cluster` runs it after them"]
async fn the_chart_grants_what_the_operator_uses_and_no_more() {
    let world = World::new("rights-chart").await;
    let mut granted = granted(&world).await;
    // Nobody sends such a request: an admission policy asks for the right.
    let label = ["label", "election-operator.io", "electiongroups"].map(str::to_owned);
    assert!(granted.remove(&label.into()), "{granted:?}");
    let mut used = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for request in audit::requests_since(&world.client, audit::BEGINNING).await {
        if request.user == CHART_USER && !request.resource.is_empty() {
            let right = (request.verb, request.api_group, request.resource);
            if request.code == 403 {
                refused.insert(right);
            } else {
                used.insert(right);
            }
        }
    }
    let unused: Vec<_> = granted.difference(&used).collect();
    // An admission policy answers 403, too, to what the chart grants.
    let refused: Vec<_> = refused.difference(&granted).collect();
    assert!(refused.is_empty(), "the chart does not grant {refused:?}");
    assert!(unused.is_empty(), "the chart grants what nobody uses: {unused:?}");
    world.finish().await;
}
