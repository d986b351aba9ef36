//! The control plane of these tests: what the variables name, or our own cluster.

use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

use kube::Client;
use testkit::cluster::{self, client_of, config, read};

/// The files through which the tests reach a control plane.
#[derive(Debug)]
pub(crate) struct Cluster(cluster::Cluster);

impl Cluster {
    /// The cluster that the variables name, else the one that `cluster.sh up` started.
    ///
    /// # Panics
    /// If there is none, with the command that starts one.
    pub(crate) fn find() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cluster.sh");
            let given = cluster::Cluster::of_environment().map(Ok);
            let found = given.unwrap_or_else(|| cluster::Cluster::of_script(&script, None));
            Self(found.unwrap_or_else(|error| {
                panic!(
                    "no control plane to test on. `make test` starts one, runs all tests and stops it; to keep one \
                     between runs: make cluster-up\n{error}"
                )
            }))
        })
    }

    /// The path of the audit log.
    ///
    /// # Panics
    /// If this cluster was named by variables and its audit log was not.
    pub(crate) fn audit_log(&self) -> &Path {
        self.audit_log.as_deref().expect("ELECTION_OPERATOR_AUDIT_LOG is not set")
    }

    /// A client with the administrator's rights. Each test needs its own: a client lives in its
    /// test's runtime.
    pub(crate) async fn client(&self) -> Client {
        cluster::client(&self.admin).await
    }

    /// A client with the rights of the account whose token this is.
    pub(crate) async fn client_with_token(&self, token: &str) -> Client {
        let mut file = read(&self.operator);
        for user in file.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
            user.token = Some(token.to_owned().into());
        }
        client_of(config(file).await)
    }
}

impl Deref for Cluster {
    type Target = cluster::Cluster;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
