//! Which cluster to talk to: the flags, and what kube makes of them.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use kube::Config;
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::proxy;
pub use super::proxy::ProxyError;
use crate::elector::Access;

/// The flags that choose a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// The kubeconfig file. Default: `KUBECONFIG`, else the service account of the pod, else
    /// ~/.kube/config.
    #[arg(long, value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use. Default: its current context.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Why no cluster can be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file does not exist, or is no kubeconfig.
    #[error("cannot read {path}: {source}; is --kubeconfig right?")]
    ReadKubeconfig {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with the file.
        source: KubeconfigError,
    },
    /// The kubeconfig lacks the cluster or the user.
    #[error("cannot use the kubeconfig: {0}; are KUBECONFIG and --context right?")]
    UseKubeconfig(#[from] KubeconfigError),
    /// There is neither a kubeconfig nor a service account.
    #[error("no cluster found: {0}; give --kubeconfig or set KUBECONFIG")]
    InferConfig(#[from] InferConfigError),
    /// The proxy setting is not valid.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl Connection {
    /// How to reach the cluster. Whenever the API server refuses the credentials, everything is
    /// read again, as in a new process.
    ///
    /// # Errors
    /// If no configuration says where the cluster is.
    pub async fn access(&self) -> Result<Access, ConnectError> {
        let again = self.clone();
        Ok(Access::new(self.config().await?, move || {
            let again = again.clone();
            Box::pin(async move { again.config().await.map_err(|error| error.to_string()) })
        }))
    }

    /// The caller decides whether to repeat a request, so kube must not. A repeated write could
    /// outlive its condition. A watch that kube retries for minutes would leave its command blind.
    async fn config(&self) -> Result<Config, ConnectError> {
        let mut config = match self.kubeconfig()? {
            Some(kubeconfig) => self.configured(kubeconfig).await?,
            None => match Config::incluster() {
                Ok(config) => config,
                Err(_) => match Kubeconfig::read() {
                    Ok(kubeconfig) => self.configured(kubeconfig).await?,
                    // For its message, which names both.
                    Err(_) => Config::infer().await?,
                },
            },
        };
        config.default_retry = false;
        Ok(config)
    }

    /// The kubeconfig that flags or environment name. An empty value counts as not set.
    fn kubeconfig(&self) -> Result<Option<Kubeconfig>, ConnectError> {
        if let Some(path) = self.kubeconfig.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            let read = Kubeconfig::read_from(path);
            return match read {
                Ok(kubeconfig) => Ok(Some(kubeconfig)),
                Err(source) => Err(ConnectError::ReadKubeconfig { path: path.clone(), source }),
            };
        }
        let is_set = std::env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty());
        let asked_for = is_set || self.context.is_some();
        Ok(if asked_for { Some(Kubeconfig::read()?) } else { None })
    }

    async fn configured(&self, kubeconfig: Kubeconfig) -> Result<Config, ConnectError> {
        let cluster_proxy = self.proxy_of(&kubeconfig);
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        // kube applies NO_PROXY to the address of the proxy, not to that of the API server.
        let environment = |name: &str| std::env::var(name).ok();
        config.proxy_url = proxy::choose(cluster_proxy.as_deref(), &config.cluster_url, environment)?;
        Ok(config)
    }

    /// The `proxy-url` of the cluster of the context.
    fn proxy_of(&self, kubeconfig: &Kubeconfig) -> Option<String> {
        let context = self.context.as_ref().or(kubeconfig.current_context.as_ref())?;
        let context = kubeconfig.contexts.iter().find(|named| named.name == *context)?.context.as_ref()?;
        let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?;
        cluster.cluster.as_ref()?.proxy_url.clone().filter(|proxy| !proxy.is_empty())
    }
}
