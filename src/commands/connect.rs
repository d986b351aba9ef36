//! Which cluster: the flags that say it, and what kube makes of them.

use std::path::PathBuf;

use kube::Config;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// The flags that choose a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// The kubeconfig file. Without it: `KUBECONFIG`, else the service account of the pod, else ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The context to use of the kubeconfig. Without it: its current context.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Why there is no cluster to talk to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file is not there, or is none.
    #[error("cannot read {path}: {source}; is --kubeconfig right?")]
    ReadKubeconfig {
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// It does not say where the cluster is, or who asks.
    #[error("cannot use the kubeconfig: {0}; are KUBECONFIG and --context right?")]
    UseKubeconfig(#[from] KubeconfigError),
    /// Neither a kubeconfig nor a service account.
    #[error("no cluster found: {0}; give --kubeconfig or set KUBECONFIG")]
    InferConfig(#[from] InferConfigError),
}

impl Connection {
    /// How to reach the cluster. Who asks decides whether to ask again: a repeated write could outlive its condition, and a
    /// watch that is tried again unseen, for minutes, would leave its command blind.
    ///
    /// # Errors
    /// If nothing says where it is.
    pub async fn config(&self) -> Result<Config, ConnectError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path);
                let read =
                    read.map_err(|source| ConnectError::ReadKubeconfig { path: path.clone(), source })?;
                Config::from_custom_kubeconfig(read, &options).await?
            }
            None if self.context.is_some() || std::env::var_os("KUBECONFIG").is_some() => {
                Config::from_kubeconfig(&options).await?
            }
            None => match Config::incluster() {
                Ok(config) => config,
                Err(_) => Config::infer().await?,
            },
        };
        config.default_retry = false;
        Ok(config)
    }
}
