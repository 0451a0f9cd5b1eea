//! Where judges work: on threads of their own, a few at a time, for a bounded time.
//!
//! An expression in CEL cannot be stopped: three nested loops over a few hundred items take seconds. So no judge works
//! on the runtime's own threads; as many work at once as there are cores; and one that takes too long gives its place
//! to the others while its thread goes on. Its Subject is not judged again before that ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How long a judge may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// The places.
#[derive(Clone, Debug)]
pub struct Bench {
    places: Arc<Semaphore>,
    limit: Duration,
}

/// What came of some work.
#[derive(Debug)]
pub enum Done<T> {
    /// This, and how long it took.
    Yes(T, Duration),
    /// Not within the limit; it goes on.
    Late(JoinHandle<T>),
    /// It broke off.
    Broke,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new(LIMIT)
    }
}

impl Bench {
    /// As many places as there are cores.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let places = std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 16));
        Self { places: Arc::new(Semaphore::new(places)), limit }
    }

    /// Works on a thread of its own, for as long as the limit is.
    pub async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Done<T> {
        // It is never closed; without a place the work is done all the same.
        let _place = self.places.clone().acquire_owned().await.ok();
        let begun = Instant::now();
        let mut thread = tokio::task::spawn_blocking(work);
        match tokio::time::timeout(self.limit, &mut thread).await {
            Ok(Ok(done)) => Done::Yes(done, begun.elapsed()),
            Ok(Err(_)) => Done::Broke,
            Err(_) => Done::Late(thread),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_that_is_late_keeps_nobody_from_a_place() {
        let bench = Bench::new(Duration::from_millis(20));
        let places = bench.places.available_permits();
        let mut late = Vec::new();
        for _ in 0..places * 2 {
            let (go, wait) = mpsc::channel::<()>();
            let Done::Late(thread) = bench.work(move || wait.recv()).await else { unreachable!("nobody says go") };
            late.push((go, thread));
        }
        assert_eq!(bench.places.available_permits(), places);
        for (go, thread) in late {
            go.send(()).unwrap();
            thread.await.unwrap().unwrap();
        }
        let patient = Bench::default();
        assert!(matches!(patient.work(|| 7).await, Done::Yes(7, _)));
        assert!(matches!(patient.work(|| -> u8 { panic!("a fault in a judge") }).await, Done::Broke));
    }
}
