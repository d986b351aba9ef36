//! What the chart renders is what the API server takes.

use std::path::Path;

use serde_json::{Value, json};
use testkit::json::At;

use crate::harness::World;
use crate::harness::cluster::Cluster;

/// Kinds of the Prometheus Operator: no test has its CRDs.
const NOT_SERVED: [&str; 2] = ["ServiceMonitor", "PrometheusRule"];

/// Everything that the chart renders with the values of this file.
async fn rendered(namespace: &str, values: &Path) -> Vec<Value> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/election-operator");
    let output = tokio::process::Command::new(&Cluster::find().helm)
        .args(["template", "other", "--namespace", namespace, "--values"])
        .arg(values)
        .arg(&chart)
        .output()
        .await
        .expect("helm can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("helm prints text");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("the chart renders YAML");
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_api_server_takes_everything_the_chart_renders_with_any_value() {
    let world = World::new("chart").await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/election-operator/ci");
    for values in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let objects = rendered(&world.namespace, &values).await;
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
