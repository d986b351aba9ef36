//! Commands of README and of pages in docs/, from these pages, run as a reader runs them.

use std::path::{Path, PathBuf};

use kube::config::Kubeconfig;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::wait::eventually;
use crate::harness::{Operator, World};
use crate::pages::{Block, blocks};

/// The chart is installed already. So helm only says what it would do, and the API server agrees.
const PRELUDE: &str = "set -euo pipefail\nhelm() { command helm \"$@\" --dry-run=server >/dev/null; }\n";

/// A shell of a user whose current namespace is that of the test.
struct Shell {
    kubeconfig: PathBuf,
    path: String,
}

impl Shell {
    fn new(world: &World) -> Self {
        let cluster = Cluster::find();
        let mut config = Kubeconfig::read_from(&cluster.admin).unwrap();
        for context in config.contexts.iter_mut().filter_map(|context| context.context.as_mut()) {
            context.namespace = Some(world.namespace.clone());
        }
        let name = format!("{}.kubeconfig", world.namespace);
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&kubeconfig, serde_json::to_string(&config).unwrap()).unwrap();
        let tools = cluster.kubectl.parent().unwrap().display();
        Self { kubeconfig, path: format!("{tools}:{}", std::env::var("PATH").unwrap()) }
    }

    /// What the commands print to standard output.
    async fn run(&self, commands: &str) -> String {
        let output = tokio::process::Command::new("bash")
            .args(["-c", &format!("{PRELUDE}{commands}")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path)
            .output()
            .await
            .expect("bash can be run");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}: {error}");
        String::from_utf8(output.stdout).expect("the commands print text")
    }

    /// Runs a command until it prints what is shown. A command with nothing shown runs once.
    async fn shows(&self, command: &str, shown: &str) {
        if shown.is_empty() {
            self.run(command).await;
            return;
        }
        eventually(&format!("{command}, to print {:#?}", essence(shown)), async || {
            let printed = self.run(command).await;
            println!("$ {command}\n{printed}");
            (essence(&printed) == essence(shown)).then_some(())
        })
        .await;
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

/// What is the same at each run: not ages, not widths of columns, not which of the pods it is.
fn essence(output: &str) -> Vec<String> {
    let word = |word: &str| {
        let is_age = word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['s', 'm', 'h']);
        match word.strip_prefix("orders-") {
            Some(number) if number.parse::<u8>().is_ok() => "POD".to_owned(),
            _ if is_age => "AGE".to_owned(),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<_> = output.lines().map(line).collect();
    lines.sort();
    lines
}

/// The commands of a block, each with the output that is shown below it.
fn commands(block: &Block) -> Vec<(&str, &str)> {
    if block.language == "sh" {
        return vec![(&block.text, "")];
    }
    let text = block.text.strip_prefix("$ ").expect("a console begins with a command");
    let commands = text.split("\n$ ");
    commands.map(|command| command.split_once('\n').unwrap_or((command, ""))).collect()
}

#[test]
fn essence_leaves_out_ages_and_numbers_and_keeps_roles() {
    assert_eq!(essence("orders-2  1/1  40s  leader\n"), ["POD 1/1 AGE leader"]);
    assert_eq!(essence("b 1m\norders-leader 2h5m"), ["b AGE", "orders-leader AGE"]);
    assert_ne!(essence("orders-1 follower"), essence("orders-1 leader"));
    assert_ne!(essence("orders orders-1 True 3 1m"), essence("orders orders-1 True 2 1m"));
}

fn page(file: &str) -> Vec<Block> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    blocks(&std::fs::read_to_string(file).unwrap())
}

/// The namespace admits `restricted` pods alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_commands_of_readme_do_what_it_shows() {
    let world = World::new("readme").await;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    world.kubectl(&["label", "namespace", &world.namespace, label]).await;
    let _operator = Operator::start(&world).await;
    let shell = Shell::new(&world);
    for block in page("README.md").iter().filter(|block| block.note == "run") {
        for (command, shown) in commands(block) {
            shell.shows(command, shown.trim_end()).await;
        }
    }
    assert_eq!(world.list(Kind::Pod).await.len(), 3, "the example is there");
    world.finish().await;
}

/// What a reader puts in place of a word in capitals.
const PLACES: [(&str, &str); 5] = [
    ("NAMESPACE-OF-THE-OPERATOR", "election-operator"),
    ("SELECTOR", "app=orders"),
    ("SERVICE", "orders-leader"),
    ("NAME", "orders"),
    ("POD", "orders-0"),
];

/// A pod of the operator that serves HTTP: the simulated one does not.
const NOT_HERE: [&str; 2] = ["kubectl port-forward", "curl "];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_commands_of_how_to_and_troubleshooting_are_taken() {
    let world = World::new("pages").await;
    let _operator = Operator::start(&world).await;
    let shell = Shell::new(&world);
    let orders = "kubectl apply -f examples/orders.yaml\nkubectl rollout status statefulset/orders";
    shell.run(orders).await;
    shell.run("kubectl wait --for=condition=Ready electiongroup/orders").await;
    let blocks = ["docs/troubleshooting.md", "docs/how-to.md"].map(page);
    let blocks: Vec<_> = blocks.iter().flatten().filter(|block| block.language == "sh").collect();
    assert!(blocks.len() > 10, "{blocks:?}");
    let commands = blocks.iter().flat_map(|block| block.text.lines());
    for command in commands.filter(|line| !NOT_HERE.iter().any(|start| line.starts_with(start))) {
        // A column that is named NAME stays so.
        let command = command.split_inclusive(' ').map(|word| {
            let is_columns = word.contains("custom-columns");
            let replaced =
                PLACES.iter().fold(word.to_owned(), |word, (place, real)| word.replace(place, real));
            if is_columns { word.to_owned() } else { replaced }
        });
        let command: String = command.collect();
        println!("$ {command}\n{}", shell.run(&command).await);
    }
    world.finish().await;
}
