//! The elector itself: put together and run.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use kube::Client;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use super::access::Access;
use super::active_term::{ActiveTerm, Stage, TermState};
use super::clock::{BootTime, Time};
use super::config::{ConfigError, ElectorConfig};
use super::decisions::time::Nanos;
use super::decisions::{Elector, ElectorEvent, Ending, Notice};
use super::driver::{Driver, Observer};
use super::events::EventRecorder;
use super::health::HealthCheck;
use super::inbox::Input;
use super::jitter::Jitter;
use super::leader_view::LeaderView;
use super::lease_client::LeaseClient;
use super::metrics::ElectorMetrics;
use super::term_keeper::TermKeeper;
use super::term_source::{TermSource, numbered};
use super::watch::watch;

/// Why an elector could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Its settings make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No client could be made.
    #[error("cannot make a client: {0}")]
    Client(#[source] Box<kube::Error>),
}

/// Why an elector could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The thread that watches the deadline could not be started.
    #[error("cannot start the deadline's thread: {0}")]
    StartEnforcer(#[source] io::Error),
    /// The elector's task was ended with its runtime, or the observer of notices panicked. The text
    /// says which.
    #[error("the elector's task ended: {0}")]
    TaskEnded(#[source] JoinError),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended<T> {
    /// Why it ended.
    pub ending: Ending,
    /// The output of the last term's work. None: the work was aborted, or there was no term.
    pub output: Option<T>,
}

/// Stands for election, and runs work while it leads. The [module](super) says what it guarantees.
pub struct LeaderElector {
    config: ElectorConfig,
    lease: Client,
    other: Client,
    clock: Arc<dyn Time>,
    metrics: ElectorMetrics,
    observer: Option<Observer>,
    numbers: Option<Arc<dyn TermSource>>,
    state: watch::Sender<LeaderView>,
}

impl std::fmt::Debug for LeaderElector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderElector").field("config", &self.config).finish_non_exhaustive()
    }
}

impl LeaderElector {
    /// Makes two clients of its own. One sends the requests about the Lease, with its time-outs and
    /// without hidden repetitions. The other watches, and publishes Events. Both renew their
    /// credentials when the API server refuses them. Needs a tokio runtime.
    ///
    /// # Errors
    /// If the settings make no sense, or no client can be made of `kube`.
    pub fn new(kube: impl Into<Access>, config: ElectorConfig) -> Result<Self, BuildError> {
        config.validate()?;
        let timeout = Some(config.request_timeout());
        let other = kube.into().with(|kube| kube.default_retry = false);
        let lease = other.clone().with(move |kube| {
            kube.connect_timeout = timeout;
            kube.write_timeout = timeout;
            // Each request bounds its own reads. A `read_timeout` would also close a connection
            // that rests for as long. The next request, which may take a Lease over, would need a
            // new connection: 40 ms.
            kube.read_timeout = None;
        });
        let client = |access: Access| access.client().map_err(|error| BuildError::Client(Box::new(error)));
        Ok(Self::with_clients(client(lease)?, client(other)?, config)?)
    }

    /// Uses ready clients. `lease` must not repeat requests by itself. `other` must not cut an idle
    /// watch.
    ///
    /// # Errors
    /// If the settings make no sense.
    pub fn with_clients(lease: Client, other: Client, config: ElectorConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let clock: Arc<dyn Time> = Arc::new(BootTime);
        let state = LeaderView::new(clock.clone(), config.identity.as_str().into());
        let elector = Self {
            config,
            lease,
            other,
            clock,
            metrics: ElectorMetrics::default(),
            observer: None,
            numbers: None,
            state: watch::Sender::new(state),
        };
        elector.metrics.leads(&elector.config.name, false);
        Ok(elector)
    }

    /// Judges time by `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Time>) -> Self {
        self.state.send_modify(|state| state.set_clock(clock.clone()));
        self.clock = clock;
        self
    }

    /// Counts into `metrics` instead of its own. Several electors may share one set.
    #[must_use]
    pub fn with_metrics(mut self, metrics: ElectorMetrics) -> Self {
        metrics.leads(&self.config.name, false);
        self.metrics = metrics;
        self
    }

    /// Calls `observer` with every notice, in order and never twice at once. It must not block.
    #[must_use]
    pub fn on_notice(mut self, observer: impl FnMut(&Notice) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Asks `source` for the number of each term. Work starts when the number is there.
    #[must_use]
    pub fn with_term_source(mut self, source: Arc<dyn TermSource>) -> Self {
        self.numbers = Some(source);
        self
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &ElectorConfig {
        &self.config
    }

    /// Who leads. The receiver wakes on every change of holder, on gain and on loss. Drop a
    /// borrowed value soon: it holds up the elector and its deadline thread.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<LeaderView> {
        self.state.subscribe()
    }

    /// The metrics, to be registered.
    #[must_use]
    pub fn metrics(&self) -> ElectorMetrics {
        self.metrics.clone()
    }

    /// A health check of this elector.
    #[must_use]
    pub fn health(&self) -> HealthCheck {
        let check = HealthCheck::default();
        self.watch_health(&check);
        check
    }

    /// Makes `check` report on this elector.
    pub fn watch_health(&self, check: &HealthCheck) {
        check.set(self.view(), self.config.name.clone());
    }

    /// Stands for election until `stop` resolves. With [`ElectorConfig::once`] it runs for one term
    /// at most.
    ///
    /// The elector calls `work` at the start of every term, and runs the returned future here. The
    /// future need not be `Send`, and is dropped when this future is dropped.
    ///
    /// When leadership is lost or `stop` resolves, [`ActiveTerm::lost`] resolves. Work then has
    /// until [`ActiveTerm::abort_in`] to end by itself; after that it is dropped. Work that ends by
    /// itself ends the run, after the Lease was released.
    ///
    /// Dropping this future ends the term and drops work at once, but does not release the Lease:
    /// no process leads until it expires. So do not race `run` against a signal in `select!`. Pass
    /// the signal as `stop`, and wait for `run` to end:
    ///
    /// ```no_run
    /// # use lease_elector::{LeaderElector, RunError};
    /// # async fn example(elector: LeaderElector) -> Result<(), RunError> {
    /// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    /// elector.run(stop, |term| async move { term.lost().await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the elector cannot start, or if its task is ended with its runtime or by a panic.
    pub async fn run<W, F>(
        self,
        stop: impl Future<Output = ()>,
        mut work: W,
    ) -> Result<Ended<F::Output>, RunError>
    where
        W: FnMut(ActiveTerm) -> F,
        F: Future,
    {
        let (numbers, clock, pause) = (self.numbers.clone(), self.clock.clone(), self.config.retry_period);
        let number = |term| -> Numbering { Box::pin(numbered(term, numbers.clone(), clock.clone(), pause)) };
        let mut run = self.start().map_err(RunError::StartEnforcer)?;
        let mut stop = pin!(stop);
        let (mut stopping, mut working, mut output) = (false, None::<Working<F>>, None);
        let mut numbering: Option<Numbering> = None;
        loop {
            tokio::select! {
                biased;
                ended = Working::ended(&mut working) => {
                    (working, output) = (None, ended);
                    run.tell(ElectorEvent::WorkEnded);
                }
                () = &mut stop, if !stopping => {
                    stopping = true;
                    run.tell(ElectorEvent::Stop);
                }
                term = ready(&mut numbering) => {
                    (numbering, output) = (None, None);
                    match term.filter(|term| term.state.stage() < Stage::Aborted) {
                        Some(term) => working = Some(Working::new(term.state.clone(), work(term))),
                        None => run.tell(ElectorEvent::WorkEnded),
                    }
                }
                Some(term) = run.terms.recv(), if working.is_none() && numbering.is_none() => {
                    numbering = Some(number(term));
                }
                ending = &mut run.driver => {
                    let ending = ending.map_err(RunError::TaskEnded)?;
                    return Ok(Ended { ending, output });
                }
            }
        }
    }

    fn start(self) -> io::Result<Running> {
        let (inbox, received) = mpsc::unbounded_channel();
        let (terms, started) = mpsc::unbounded_channel();
        let Self { config, lease, other, clock, metrics, observer, state, .. } = self;
        let keeper = Arc::new(TermKeeper::new(clock.clone(), config.clone(), state, metrics, inbox.clone()));
        keeper.arm()?;
        let policy = config.rules();
        let lease = LeaseClient::new(lease, &config.namespace, &config.name, config.labels.clone());
        let watch = config.watch.then(|| {
            tokio::spawn(watch(other.clone(), lease.clone(), clock.clone(), policy.retry_period, inbox))
        });
        let jitter = Jitter::new(&(&config.identity, &config.namespace, &config.name));
        let driver = Driver {
            core: Elector::new(policy),
            lease,
            keeper: keeper.clone(),
            inbox: received,
            terms,
            events: EventRecorder::new(other, clock, config),
            observer,
            jitter,
            suspended_before: Nanos(0),
            no_nomination: None,
        };
        Ok(Running { terms: started, driver: tokio::spawn(driver.run()), watch, keeper })
    }
}

/// The elector's tasks. Dropping this ends them, and the term with them.
struct Running {
    terms: UnboundedReceiver<ActiveTerm>,
    driver: JoinHandle<Ending>,
    watch: Option<JoinHandle<()>>,
    keeper: Arc<TermKeeper>,
}

impl Running {
    fn tell(&self, event: ElectorEvent) {
        let _ = self.keeper.inbox.send(Input::Event(event));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.keeper.close();
        self.driver.abort();
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

type Numbering = Pin<Box<dyn Future<Output = Option<ActiveTerm>> + Send>>;

/// The output of the future. Without a future it never resolves.
async fn ready<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Work that is polled as long as it may run.
struct Working<F> {
    state: Arc<TermState>,
    aborted: Pin<Box<dyn Future<Output = ()> + Send>>,
    work: Pin<Box<F>>,
}

impl<F: Future> Working<F> {
    fn new(state: Arc<TermState>, work: F) -> Self {
        let waiting = state.clone();
        let aborted = Box::pin(async move { waiting.reached(Stage::Aborted).await });
        Self { state, aborted, work: Box::pin(work) }
    }

    /// Reads the clock before every poll: work that was held up does not go on after its time.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.aborted.as_mut().poll(context).is_ready() || self.state.stage() >= Stage::Aborted {
            return Poll::Ready(None);
        }
        self.work.as_mut().poll(context).map(Some)
    }

    async fn ended(working: &mut Option<Self>) -> Option<F::Output> {
        match working {
            Some(working) => std::future::poll_fn(|context| working.poll(context)).await,
            None => std::future::pending().await,
        }
    }
}
