//! What a helper of our own image does: one job, and a line about it.
//!
//! It stands in the network namespace of its target and may administer that, or has one volume, or stands on the
//! project's networks: never more than one of these.

use super::job::Job;

mod disk;
mod network;
mod requests;

pub(crate) use requests::TOGETHER;

/// Does it to its end. An error is a sentence, and then nothing was changed, or it says what.
pub async fn work(job: Job) -> Result<String, String> {
    match job {
        Job::Partition { mark, from } => network::partition(&mark, &from),
        Job::Rejoin { mark } => network::rejoin(&mark),
        Job::Heal => network::heal(),
        Job::Delay { mark, delay_ms, jitter_ms } => network::delay(&mark, delay_ms, jitter_ms),
        Job::Hasten { mark } => network::hasten(&mark),
        Job::Fill { file, mebibytes } => disk::fill(&file, mebibytes),
        Job::Empty { file } => disk::empty(&file),
        Job::Request { request } => requests::make(&request).await,
    }
}
