//! The elector itself: put together, and run.

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
use super::driver::{Driver, Input, Jitter, Observer};
use super::events::LeaseEvents;
use super::health::HealthCheck;
use super::leader_view::LeaderView;
use super::lease_client::LeaseClient;
use super::metrics::ElectorMetrics;
use super::term_keeper::TermKeeper;
use super::term_source::{TermSource, numbered};
use super::watch::watch;

/// Why an elector could not be made.
#[derive(Debug, thiserror::Error)]
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
pub enum RunError {
    /// The thread that watches the deadline could not be started.
    #[error("cannot start the deadline's thread: {0}")]
    StartEnforcer(#[source] io::Error),
    /// The elector's own task was ended from outside, with its runtime, or what it calls with notices panicked: the text of
    /// that is told.
    #[error("the elector's task ended: {0}")]
    TaskEnded(#[source] JoinError),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// Why.
    pub ending: Ending,
    /// What the work of the last term returned; none: it was aborted, or there was no term.
    pub output: Option<T>,
}

/// Stands for election, runs work while it leads. See the [module](super) for what it guarantees.
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
    /// With clients of its own: one for requests about the Lease, with its time-outs and without hidden repetitions, and
    /// one for the watch and Events. Both get themselves new credentials when theirs are refused. Needs a tokio runtime.
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
            // Reads are bounded for each request. A `read_timeout` would also close the connection whenever it rests for
            // as long, and cost the next request, the one that takes a Lease over, a new one: 40 ms.
            kube.read_timeout = None;
        });
        let client = |access: Access| access.client().map_err(|error| BuildError::Client(Box::new(error)));
        Ok(Self::with_clients(client(lease)?, client(other)?, config)?)
    }

    /// With ready clients: `lease` must not repeat requests by itself, `other` must not cut an idle watch.
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

    /// Counts into `metrics` instead of its own: those of several electors are one set.
    #[must_use]
    pub fn with_metrics(mut self, metrics: ElectorMetrics) -> Self {
        metrics.leads(&self.config.name, false);
        self.metrics = metrics;
        self
    }

    /// Calls `observer` with everything that happens, in order and never twice at once. It must not block.
    #[must_use]
    pub fn on_notice(mut self, observer: impl FnMut(&Notice) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Asks `source` for the number of each term; work starts when it has answered.
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

    /// Who leads. Wakes on every change of holder, on gain and on loss. Do not keep what it borrows: that holds up the
    /// elector, and the thread of its deadline.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LeaderView> {
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

    /// Makes `check` one of this elector.
    pub fn watch_health(&self, check: &HealthCheck) {
        let lease_duration = Nanos::from(self.config.lease_duration);
        check.set(self.state(), self.config.name.clone(), lease_duration);
    }

    /// Stands for election until `stop` resolves; with [`ElectorConfig::once`] for one term at most.
    ///
    /// `work` is called at the start of every term; the future it returns is the work, and is run here: it need not be
    /// `Send`, and to drop this future drops it. When leadership is lost or `stop` resolves, [`ActiveTerm::lost`] resolves;
    /// then work has until [`ActiveTerm::abort_in`] to end by itself before it is dropped. Work that ends by itself ends
    /// the run, after the Lease was given back.
    ///
    /// To drop this future ends the claim and drops work at once, but leaves the Lease to run out: nobody leads for as long.
    /// So do not race `run` against a signal in `select!`; give the signal as `stop`, and wait for `run` to end:
    ///
    /// ```no_run
    /// # async fn example(elector: election_operator::LeaderElector) -> Result<(), election_operator::elector::RunError> {
    /// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    /// elector.run(stop, |guard| async move { guard.lost().await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it cannot start, or its task is ended with its runtime or by a panic.
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
        let number =
            |guard| -> Numbering { Box::pin(numbered(guard, numbers.clone(), clock.clone(), pause)) };
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
                guard = ready(&mut numbering) => {
                    (numbering, output) = (None, None);
                    match guard.filter(|guard| guard.state.stage() < Stage::Aborted) {
                        Some(guard) => working = Some(Working::new(guard.state.clone(), work(guard))),
                        None => run.tell(ElectorEvent::WorkEnded),
                    }
                }
                Some(guard) = run.terms.recv(), if working.is_none() && numbering.is_none() => {
                    numbering = Some(number(guard));
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
        let shared = Arc::new(TermKeeper::new(clock.clone(), config.clone(), state, metrics, inbox.clone()));
        shared.arm()?;
        let policy = config.policy();
        let lease = LeaseClient::new(lease, &config.namespace, &config.name, config.labels.clone());
        let watch = config.watch.then(|| {
            tokio::spawn(watch(other.clone(), lease.clone(), clock.clone(), policy.retry_period, inbox))
        });
        let chance = Jitter::new(&(&config.identity, &config.namespace, &config.name));
        let driver = Driver {
            core: Elector::new(policy),
            lease,
            shared: shared.clone(),
            inbox: received,
            terms,
            events: LeaseEvents::new(other, clock, config),
            observer,
            chance,
            ahead: Nanos(0),
        };
        Ok(Running { terms: started, driver: tokio::spawn(driver.run()), watch, shared })
    }
}

/// The elector's tasks. Dropped, they end, and so does the claim.
struct Running {
    terms: UnboundedReceiver<ActiveTerm>,
    driver: JoinHandle<Ending>,
    watch: Option<JoinHandle<()>>,
    shared: Arc<TermKeeper>,
}

impl Running {
    fn tell(&self, event: ElectorEvent) {
        let _ = self.shared.inbox.send(Input::Event(event));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.close();
        self.driver.abort();
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

type Numbering = Pin<Box<dyn Future<Output = Option<ActiveTerm>> + Send>>;

/// What the future brings, if there is one; never, else.
async fn ready<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Work, as long as it may run.
struct Working<F> {
    claim: Arc<TermState>,
    aborted: Pin<Box<dyn Future<Output = ()> + Send>>,
    work: Pin<Box<F>>,
}

impl<F: Future> Working<F> {
    fn new(claim: Arc<TermState>, work: F) -> Self {
        let waiting = claim.clone();
        let aborted = Box::pin(async move { waiting.reached(Stage::Aborted).await });
        Self { claim, aborted, work: Box::pin(work) }
    }

    /// Reads the clock before every poll: work that was held up does not go on after its time.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.aborted.as_mut().poll(context).is_ready() || self.claim.stage() >= Stage::Aborted {
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
