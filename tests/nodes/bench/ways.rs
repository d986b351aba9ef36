//! The same application in several ways: elected and not, routed and not, draining, and under `elect`.

use super::causes::Cause;
use crate::processes::IMAGE;

/// One way to have a pod that answers.
pub(super) struct Way {
    pub(super) title: &'static str,
    pub(super) objects: String,
    pub(super) replicas: usize,
    pub(super) leaders: &'static str,
    /// What the clients ask.
    pub(super) service: &'static str,
    /// What a rolling update restarts.
    pub(super) workload: &'static str,
    pub(super) causes: &'static [Cause],
}

/// The objects of `examples/orders.yaml`, with an image that takes signals on any cluster.
fn labelled(arguments: &str) -> String {
    example("orders.yaml", arguments)
}

/// The same with the routing of `examples/routing.yaml`.
fn routed(arguments: &str) -> String {
    example("routing.yaml", arguments).replace("billing", "orders")
}

/// The objects of `examples/nominated.yaml`: the application runs only while its pod holds the Lease.
fn nominated(arguments: &str) -> String {
    let objects = example("nominated.yaml", arguments).replace("ledger", "orders");
    objects.replace("election-operator.io/client:test", IMAGE).replace("/agnhost", "/kit")
}

/// The same, with the Service routed by the operator. One by the label beside it would cost a sync of kube-proxy.
fn nominated_and_routed(arguments: &str) -> String {
    let by_label = "  name: orders-leader\nspec:\n  selector:\n    app: orders\n    role: leader\n";
    let routing = "  mode: Nominated\n  routing:\n    services: [orders-active]\n";
    let objects = nominated(arguments).replace("  mode: Nominated\n", routing);
    let routed = objects.replace(by_label, "  name: orders-active\nspec:\n");
    assert_ne!(routed, objects, "examples/nominated.yaml has a Service by the label");
    routed
}

/// One more Service with a cluster address over all pods: kube-proxy syncs for its endpoints, too.
const BESIDE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: orders-all}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http}]
";

fn example(file: &str, arguments: &str) -> String {
    let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    let lines = text.lines().map(|line| match line.trim_start() {
        image if image.starts_with("image: ") => {
            line.replace(&image[7..], "election-operator.io/client:test")
        }
        args if args.starts_with("args: ") => line.replace("8080]", &format!("8080{arguments}]")),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// The same application as a Deployment of one replica, without an election.
const SINGLE: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders-leader}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  replicas: 1
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - name: orders
          image: election-operator.io/client:test
          args: [netexec, --http-port=8080]
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
";

/// Three pods, of which the leader has the label.
const fn elected(
    title: &'static str,
    objects: String,
    service: &'static str,
    causes: &'static [Cause],
) -> Way {
    let (leaders, workload) = ("app=orders,role=leader", "statefulset/orders");
    Way { title, objects, replicas: 3, leaders, service, workload, causes }
}

pub(super) fn ways() -> [Way; 9] {
    use Cause::{Crashed, Deleted, Drained, ForceDeleted, NotReady, Switchover};
    const DRAINING: &[Cause] = &[Switchover, Deleted, Drained];
    const UNDER_ELECT: &[Cause] = &[Switchover, Deleted];
    [
        elected("labels", labelled(""), "orders-leader", Cause::ALL),
        elected("draining for 2 s: labels", labelled(", --delay-shutdown=2"), "orders-leader", DRAINING),
        elected("routing", routed(""), "orders-active", Cause::ALL),
        elected("draining for 2 s: routing", routed(", --delay-shutdown=2"), "orders-active", DRAINING),
        elected(
            "a second Service over the pods: routing",
            routed("") + BESIDE,
            "orders-active",
            &[Switchover, NotReady, Crashed],
        ),
        elected("mode Nominated: labels", nominated(""), "orders-leader", UNDER_ELECT),
        elected("mode Nominated: routing", nominated_and_routed(""), "orders-active", UNDER_ELECT),
        elected(
            "mode Nominated, draining for 2 s: routing",
            nominated_and_routed(", --delay-shutdown=2"),
            "orders-active",
            UNDER_ELECT,
        ),
        Way {
            title: "one replica",
            objects: SINGLE.to_owned(),
            replicas: 1,
            leaders: "app=orders",
            service: "orders-leader",
            workload: "deployment/orders",
            causes: &[Deleted, ForceDeleted],
        },
    ]
}
