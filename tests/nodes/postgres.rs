//! `examples/postgres.yaml`: one primary, two standbys. What was written before a failover is there after it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use crate::cluster::{Cluster, load_example_image, say, variable};
use crate::world::{World, eventually, name, node};

/// What the former primary writes, after it was cut off, too. No other pod has that.
const WRITER: &str = "do $$ begin for i in 1..600 loop insert into notes values (100 + i); commit; \
                      perform pg_sleep(0.1); end loop; end $$";

/// Three pods, and their volumes in a folder of this machine.
struct Database {
    world: World,
    folder: PathBuf,
    address: String,
}

impl Database {
    async fn start(test: &str) -> Option<Self> {
        let world = World::new(test).await?;
        if variable("ENTER").is_none() {
            say(&format!("skipped {test}: it needs the nodes of this machine: see docs/nodes.md"));
            world.finish().await;
            return None;
        }
        if !load_example_image(test, "postgres") {
            world.finish().await;
            return None;
        }
        let folder = std::env::temp_dir().join(&world.namespace);
        let volumes: Vec<String> = (0..3).map(|number| volume(&world, &folder, number)).collect();
        world.apply(&volumes.join("---\n"));
        world.restrict();
        world.example("postgres.yaml");
        let address = world.cluster_ip("postgres-leader").await;
        let database = Self { world, folder, address };
        database.complete().await;
        Some(database)
    }

    /// Waits until one pod has the primary and each other pod has a standby that streams.
    async fn complete(&self) -> Vec<Pod> {
        self.world.until_ready("app=postgres", 3).await
    }

    async fn leader(&self, not: &[&str]) -> String {
        name(&self.world.until_leader("postgres", not).await)
    }

    /// What `psql` in a pod prints, or nothing if the server refuses. A connection to a pod that is gone
    /// hangs.
    fn ask(&self, pod: &str, host: &str, statement: &str) -> String {
        let psql = ["timeout", "5", "psql", "--host", host, "--no-align", "--tuples-only", "--quiet"];
        let exec = ["--namespace", &self.world.namespace, "exec", pod, "--container", "standby", "--"];
        let all = [&exec[..], &psql, &["--command", statement]].concat();
        self.world.cluster.kubectl_prints(&all).trim().to_owned()
    }

    /// Writes through the Service. A write that was done is not repeated.
    async fn write(&self, from: &str, number: u32) {
        let create = "create table if not exists notes (number int primary key)";
        let insert = format!("insert into notes values ({number}) on conflict do nothing");
        let select = format!("select number from notes where number = {number}");
        let all = [create, &insert, &select].join("; ");
        eventually(&format!("{number} is written"), async || {
            (self.ask(from, &self.address, &all) == number.to_string()).then_some(())
        })
        .await;
    }

    /// Waits until each pod has the same numbers, and gives back the ones below 100.
    async fn everywhere(&self) -> String {
        let pods: Vec<String> = self.complete().await.iter().map(name).collect();
        let all = "select count(*), string_agg(number::text, ' ' order by number) \
                   filter (where number < 100) from notes";
        let numbers = eventually("the same in all pods", async || {
            let answers: Vec<String> = pods.iter().map(|pod| self.ask(pod, "localhost", all)).collect();
            let first = answers.first()?;
            (!first.is_empty() && answers.iter().all(|answer| answer == first)).then(|| first.clone())
        })
        .await;
        numbers.split_once('|').expect("two columns").1.to_owned()
    }

    async fn end(self) {
        let Self { world, folder, .. } = self;
        world.kubectl(&["delete", "statefulset", "postgres", "--cascade=foreground", "--timeout=120s"]);
        let volumes = format!("volumes={}", world.namespace);
        world.cluster.kubectl(&["delete", "persistentvolumes", "--selector", &volumes, "--wait=false"]);
        world.finish().await;
        fs::remove_dir_all(folder).expect("no pod has it any more");
    }
}

/// A volume for one claim. Its folder is that of all nodes, as they are namespaces of this machine.
fn volume(world: &World, folder: &std::path::Path, number: u8) -> String {
    let folder = folder.join(number.to_string());
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let (namespace, folder) = (&world.namespace, folder.display());
    format!(
        r"apiVersion: v1
kind: PersistentVolume
metadata: {{ name: {namespace}-{number}, labels: {{ volumes: {namespace} }} }}
spec:
  capacity: {{ storage: 1Gi }}
  accessModes: [ReadWriteOnce]
  claimRef: {{ namespace: {namespace}, name: data-postgres-{number} }}
  hostPath: {{ path: {folder}, type: Directory }}
"
    )
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn postgres_keeps_what_was_written() {
    let Some(database) = Database::start("postgres_keeps_what_was_written").await else { return };
    let first = database.leader(&[]).await;
    database.write(&first, 1).await;
    assert_eq!(database.everywhere().await, "1");

    let others = database.world.until_ready("app=postgres,role!=leader", 2).await;
    database.world.switch_to("postgres", &name(&others[0])).await;
    let second = database.leader(&[&first]).await;
    database.write(&first, 2).await;
    assert_eq!(database.everywhere().await, "1 2", "{first} → {second}, switchover");

    let deleted = database.world.pods().delete(&second, &DeleteParams::default()).await;
    deleted.expect("it can be deleted");
    let third = database.leader(&[&second]).await;
    database.write(&third, 3).await;
    assert_eq!(database.everywhere().await, "1 2 3", "{second} → {third}, deleted");

    // What it writes now is lost when its node is, as docs/follow.md says, and is undone there.
    let writer = format!("psql --host localhost --command '{WRITER}' >/dev/null 2>&1 &");
    let in_pod = ["exec", &third, "--container", "standby", "--", "sh", "-c", &writer];
    database.world.kubectl(&in_pod);
    eventually("it writes", async || {
        let written = database.ask(&third, "localhost", "select count(*) from notes where number > 100");
        (written.parse::<u32>().ok()? > 0).then_some(())
    })
    .await;
    let pod = database.world.pods().get(&third).await.expect("the pod can be read");
    let cut = Cluster::cut(&node(&pod)).expect("the nodes are of this machine");
    let fourth = database.leader(&[&third]).await;
    database.write(&fourth, 4).await;
    drop(cut);
    assert_eq!(database.everywhere().await, "1 2 3 4", "{third} → {fourth}, node cut off");
    let said = database.world.kubectl(&["logs", &third, "--container", "standby"]);
    assert!(said.contains("rewinding from last common checkpoint"), "{third} had more than {fourth}: {said}");
    let timeline = database.ask(&fourth, "localhost", "select timeline_id from pg_control_checkpoint()");
    say(&format!("postgres: {first} → {second} → {third} → {fourth}, timeline {timeline}"));
    database.end().await;
}
