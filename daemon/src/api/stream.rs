//! Server streams: one answer after the other until the last one, an error, or the daemon's stop.

use std::future::Future;
use std::pin::Pin;

use futures_util::stream::{Stream, unfold};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::status;

/// The answers of a streaming method.
pub type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A source of answers.
pub trait Steps: Send + 'static {
    /// An answer.
    type Item: Send + 'static;

    /// Returns the next answer; none after the last. Dropping the future must lose nothing.
    fn next(&mut self) -> impl Future<Output = Result<Option<Self::Item>, Status>> + Send;
}

/// Streams the answers of `steps`; the daemon's stop ends the stream with `UNAVAILABLE`.
pub fn stream<S: Steps>(steps: S, stopping: CancellationToken) -> ResponseStream<S::Item> {
    Box::pin(unfold(Some(steps), move |steps| {
        let stopping = stopping.clone();
        async move {
            let mut steps = steps?;
            let next = tokio::select! {
                biased;
                next = steps.next() => next,
                () = stopping.cancelled() => Err(status::stopping()),
            };
            match next {
                Ok(Some(answer)) => Some((Ok(answer), Some(steps))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tonic::Code;

    use super::*;

    struct CountDown(u32);

    impl Steps for CountDown {
        type Item = u32;

        async fn next(&mut self) -> Result<Option<u32>, Status> {
            match self.0 {
                0 => Ok(None),
                7 => std::future::pending().await,
                left => {
                    self.0 -= 1;
                    Ok(Some(left))
                }
            }
        }
    }

    #[tokio::test]
    async fn a_stream_ends_after_its_last_step() {
        let answers = stream(CountDown(3), CancellationToken::new());
        let answers: Vec<u32> = answers.map(|answer| answer.expect("no error")).collect().await;
        assert_eq!(answers, [3, 2, 1]);
    }

    #[tokio::test]
    async fn the_stop_cuts_a_waiting_stream_off() {
        let stopping = CancellationToken::new();
        let mut answers = stream(CountDown(8), stopping.clone());
        assert!(matches!(answers.next().await, Some(Ok(8))));
        stopping.cancel();
        let last = answers.next().await.expect("it says why");
        assert_eq!(last.expect_err("it is an error").code(), Code::Unavailable);
        assert!(answers.next().await.is_none());
    }
}
