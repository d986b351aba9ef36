//! What the chart renders is what Kubernetes takes, in each supported version, with any values.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::{Operator, World};
use crate::schemas::Schemas;

/// Kinds of the Prometheus Operator: no test has its CRDs.
const NOT_SERVED: [&str; 2] = ["ServiceMonitor", "PrometheusRule"];

/// The lowest and the highest supported version of Kubernetes.
const VERSIONS: [&str; 2] = ["v1.33.13", "v1.37.2"];

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/election-operator")
}

/// The files of values in `ci`.
fn files_of_values() -> Vec<PathBuf> {
    let files = std::fs::read_dir(chart().join("ci")).unwrap().map(|file| file.unwrap().path());
    files.collect()
}

/// Whether Helm succeeds, and all that it says.
async fn helm_says(arguments: &[&str]) -> (bool, String) {
    let cluster = Cluster::find();
    // Helm reads and writes nothing of the user's.
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let output = tokio::process::Command::new(&cluster.helm)
        .args(arguments)
        .arg("--kubeconfig")
        .arg(&cluster.admin)
        .envs(["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"].map(|name| (name, &home)))
        .output()
        .await
        .expect("helm can be run");
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    if output.status.success() { (true, out) } else { (false, out + &error) }
}

/// What Helm prints.
async fn helm(arguments: &[&str]) -> String {
    let (succeeds, said) = helm_says(arguments).await;
    assert!(succeeds, "helm {arguments:?}: {said}");
    said
}

/// Everything that the chart renders with the values of this file.
async fn rendered(namespace: &str, values: &Path, version: &str) -> Vec<Value> {
    let (chart, values) = (chart(), values.display().to_string());
    let chart = chart.display().to_string();
    let arguments = ["template", "other", &chart, "--namespace", namespace, "--values", &values];
    let text = helm(&[&arguments[..], &["--kube-version", version]].concat()).await;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("the chart renders YAML");
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_api_server_takes_everything_the_chart_renders_with_any_value() {
    let world = World::new("chart").await;
    for values in files_of_values() {
        let objects = rendered(&world.namespace, &values, VERSIONS[1]).await;
        assert!(objects.len() > 2, "{}: {} objects", values.display(), objects.len());
        let served = |object: &Value| !NOT_SERVED.contains(&object.text("/kind"));
        // Namespaces that a user must have made.
        let here = |mut object: Value| {
            let of_kubernetes = object.text("/metadata/namespace") == "kube-node-lease";
            if !object.at("/metadata/namespace").is_null() && !of_kubernetes {
                object["metadata"]["namespace"] = json!(world.namespace);
            }
            object
        };
        let items: Vec<_> = objects.into_iter().filter(served).map(here).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.json", world.namespace));
        std::fs::write(&path, list.to_string()).unwrap();
        let file = path.display().to_string();
        let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"];
        world.kubectl(&[&apply[..], &["--filename", &file]].concat()).await;
        std::fs::remove_file(&path).unwrap();
    }
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_schemas_of_the_lowest_and_the_highest_version_know_everything_the_chart_renders() {
    let manifest = std::fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let lowest = VERSIONS[0].rsplit_once('.').unwrap().0.trim_start_matches('v');
    assert!(manifest.contains(&format!("kubeVersion: \">={lowest}.0-0\"")), "the chart's lowest version");
    for version in VERSIONS {
        let schemas = Schemas::of(version);
        for values in files_of_values() {
            for object in rendered("shop", &values, version).await {
                if !NOT_SERVED.contains(&object.text("/kind")) {
                    let name = object.text("/metadata/name");
                    assert_eq!(schemas.problems(&object), Vec::<String>::new(), "{version}: {name}");
                }
            }
        }
        let wrong = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "nickname": "a" },
            "spec": { "replicas": "two", "template": { "spec": { "containers": [{ "image": "b" }] } } },
        });
        let problems = [
            "Deployment.metadata.nickname is no field",
            "Deployment.spec lacks \"selector\"",
            "Deployment.spec.replicas is no \"integer\": \"two\"",
            "Deployment.spec.template.spec.containers[0] lacks \"name\"",
        ];
        let mut told = schemas.problems(&wrong);
        told.sort();
        assert_eq!(told, problems);
        assert_eq!(
            schemas.problems(&json!({ "apiVersion": "apps/v1", "kind": "Pod" })),
            ["apps/v1 has no Pod"]
        );
    }
}

/// Also with the policy that names who may reach the operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_network_policy_lets_in_the_pod_of_helm_test_that_the_service_does_not_select() {
    let objects = rendered("shop", &chart().join("ci/all-values.yaml"), VERSIONS[1]).await;
    let find = |kind: &str| objects.iter().find(|object| object.text("/kind") == kind).expect(kind);
    let tester = find("Job").at("/spec/template/metadata/labels").as_object().unwrap();
    let includes = |wanted: &Value| {
        wanted
            .as_object()
            .is_some_and(|wanted| wanted.iter().all(|(key, value)| tester.get(key) == Some(value)))
    };
    let from = find("NetworkPolicy").at("/spec/ingress/0/from").as_array().unwrap();
    assert!(from.iter().any(|peer| includes(&peer["podSelector"]["matchLabels"])), "{from:?}");
    assert!(!includes(find("Service").at("/spec/selector")));
}

/// Helm installs each example of values beside the chart that the control plane has, and removes
/// every object of it again. The CRD and the Prometheus Operator's objects are left out: the one is
/// there already, the others' CRDs are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn helm_installs_every_example_of_values_and_leaves_nothing_behind() {
    let world = World::new("helm").await;
    let (namespace, chart) = (&world.namespace, chart().display().to_string());
    let watched = format!("watchNamespaces={{{namespace}}}");
    let without =
        "crds.install=false,metrics.serviceMonitor.create=false,metrics.prometheusRule.create=false";
    for values in files_of_values() {
        let of_one_namespace = values.ends_with("namespaced-values.yaml");
        let values = values.display().to_string();
        // What a run left behind that failed is taken over.
        let mut install = vec!["install", "other", &chart, "--namespace", namespace, "--take-ownership"];
        install.extend(["--values", &values, "--set", without]);
        if of_one_namespace {
            install.extend(["--set", &watched]);
        }
        helm(&install).await;
        let manifest = helm(&["get", "manifest", "other", "--namespace", namespace]).await;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.yaml"));
        std::fs::write(&file, &manifest).unwrap();
        let path = file.display().to_string();
        let get = ["get", "--output=name", "--filename", &path];
        let wanted = manifest.lines().filter(|line| line.starts_with("kind: ")).count();
        let installed = world.kubectl(&get).await;
        assert!(wanted > 1 && installed.lines().count() == wanted, "{values}: {wanted} of {installed}");
        helm(&["uninstall", "other", "--namespace", namespace, "--wait"]).await;
        let left = world.kubectl(&[&get[..], &["--ignore-not-found"]].concat()).await;
        assert_eq!(left, "", "{values}");
        std::fs::remove_file(&file).unwrap();
    }
    world.finish_without_verdict();
}

/// A chart of one group, which has the name of the release.
fn chart_of_a_group(world: &World) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-chart", world.namespace));
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    let chart = json!({ "apiVersion": "v2", "name": "group", "version": "1.0.0" });
    std::fs::write(folder.join("Chart.yaml"), chart.to_string()).unwrap();
    let mut group = World::group_body("{{ .Release.Name }}", &json!({}));
    group["apiVersion"] = json!("election-operator.io/v1alpha1");
    group["kind"] = json!("ElectionGroup");
    std::fs::write(folder.join("templates/group.yaml"), group.to_string()).unwrap();
    folder
}

/// Helm 4 waits by the rules of kstatus, on the live object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn helm_waits_for_a_leader_and_not_for_a_group_that_is_refused() {
    let world = World::new("helm-wait").await;
    world.pods(&["a", "b"]).await;
    let folder = chart_of_a_group(&world);
    let install = async |name: &str, timeout: &str| {
        let chart = folder.display().to_string();
        let (namespace, wait) = (["--namespace", &world.namespace], ["--wait", "--timeout", timeout]);
        helm_says(&[&["upgrade", "--install", name, &chart], &namespace[..], &wait[..]].concat()).await
    };
    let (succeeds, said) = install("orders", "3s").await;
    assert!(!succeeds && said.contains("InProgress"), "no operator serves it: {said}");

    let _operator = Operator::start(&world).await;
    let (succeeds, said) = install("orders", "120s").await;
    assert!(succeeds, "{said}");
    let group = world.get(Kind::Group, "orders").await.unwrap();
    assert!(group.has("Ready", "True"), "{group:#}");

    // It selects the pods of the first.
    let (succeeds, said) = install("twin", "120s").await;
    assert!(!succeeds && said.contains("Failed"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
    world.finish().await;
}
