//! L4: an outage of the API server that is short moves nothing. How short, in parts of the Lease's
//! duration, is what `docs/which-mode.md` says.

use super::*;

const DURATIONS: [u32; 3] = [3, 15, 60];

/// The moments after a renewal at which an outage begins. The next renewal comes after 0.30 to 0.33.
fn beginnings() -> impl Iterator<Item = f64> {
    (0..=34).map(|hundredths| f64::from(hundredths) / 100.0)
}

/// Whether the term goes on after an outage that begins so long after the last renewal, and lasts so
/// long.
async fn survives(duration: u32, begins: f64, lasts: f64) -> bool {
    let of = |part: f64| Duration::from_secs_f64(f64::from(duration) * part);
    let server = server();
    server.edit(|lease| annotate(lease, OWN, 7, duration.into()));
    let run = leading(&server, nominated(), DRAIN_AT_ONCE).await;
    after(of(begins)).await;
    server.outage(true);
    after(of(lasts)).await;
    server.outage(false);
    after(of(1.0)).await;
    run.leads()
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_fifth_of_the_duration_moves_nothing() {
    for duration in DURATIONS {
        for begins in beginnings() {
            assert!(survives(duration, begins, 0.22).await, "{duration} s, after {begins}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_two_thirds_of_the_duration_ends_each_term() {
    for duration in DURATIONS {
        for begins in beginnings() {
            assert!(!survives(duration, begins, 0.64).await, "{duration} s, after {begins}");
        }
    }
}
