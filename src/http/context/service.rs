//! What all requests share.

use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::clock::Clock;
use crate::config::Settings;
use crate::http::context::{readiness, sealing, session, throttle};
use crate::http::transport::drain::Drain;
use crate::store::Store;
use crate::store::replica::Replica;

/// How many controllers are remembered.
const CONTROLLERS: usize = 10_000;

/// What the requests share.
pub struct Service {
    pub(in crate::http) store: Arc<dyn Store>,
    pub(in crate::http) replica: Option<Arc<Replica>>,
    pub(in crate::http) settings: Settings,
    pub(in crate::http) clock: Clock,
    pub(in crate::http) sessions: session::SessionCache,
    /// Controllers that exist: none is ever removed.
    pub(in crate::http) controllers: Cache<String, ()>,
    pub(in crate::http) throttle: throttle::Throttle,
    pub(in crate::http) denials: throttle::Denials,
    pub(in crate::http) drain: Arc<Drain>,
    pub(in crate::http) readiness: readiness::Readiness,
    pub(in crate::http) sealing: Arc<sealing::Sealing>,
}

impl Service {
    /// A service over a store.
    pub fn new(store: Arc<dyn Store>, settings: Settings, clock: Clock) -> Self {
        Self {
            sessions: session::SessionCache::new(settings.session_timeout()),
            controllers: Cache::new(CONTROLLERS),
            throttle: throttle::Throttle::new(&settings),
            denials: throttle::Denials::new(),
            drain: Arc::default(),
            readiness: readiness::Readiness::default(),
            sealing: Arc::default(),
            store,
            replica: None,
            settings,
            clock,
        }
    }

    /// Reads lists from a replica.
    #[must_use]
    pub fn with_replica(self, replica: Option<Arc<Replica>>) -> Self {
        Self { replica, ..self }
    }

    /// The state of the sealing, which the metrics and `/ready` show.
    pub fn sealing(&self) -> Arc<sealing::Sealing> {
        self.sealing.clone()
    }
}
