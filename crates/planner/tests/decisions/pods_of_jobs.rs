//! Pods of a Job are no candidates unless they say so.

use super::*;

#[test]
fn pods_of_a_job_are_no_candidates_and_get_no_label() {
    let job = |name| with(pod(name), |p| p.of_job = true);
    let mut group = steady();
    group.pods.push(job("j"));
    assert_eq!(told(&group), NOTHING);
    let mut alone = fresh([job("j")]);
    settle(&mut alone);
    assert!(labelled(&alone).is_empty() && alone.group.status.candidates == 0);
    let why = "pod j: it is a Job's, and has not the annotation election-operator.io/exclude: \"false\"";
    assert_eq!(condition(&alone, "CandidatesAvailable").message, why);
}
