//! The alerts of the chart: each has a test with promtool, and a runbook.

use std::process::Command;

use serde_json::Value;

use crate::read;

const ALERTS: &str = "charts/election-operator/files/alerts.yaml";
const TESTS: &str = "tests/metrics/alerts.yaml";

/// Each alert with its `runbook_url`.
fn alerts() -> Vec<(String, String)> {
    let file: Value = serde_saphyr::from_str(&read(ALERTS)).unwrap();
    let rules = file.pointer("/groups/0/rules").and_then(Value::as_array).unwrap();
    let text = |rule: &Value, at: &str| rule.pointer(at).and_then(Value::as_str).unwrap().to_owned();
    rules.iter().map(|rule| (text(rule, "/alert"), text(rule, "/annotations/runbook_url"))).collect()
}

#[test]
fn every_alert_leads_to_a_section_of_the_runbooks() {
    let runbooks = read("docs/runbooks.md");
    let sections: Vec<_> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    for (alert, url) in &alerts {
        assert_eq!(*url, format!("RUNBOOKS#{}", alert.to_lowercase()));
    }
    assert_eq!(sections, alerts.iter().map(|(alert, _)| alert.as_str()).collect::<Vec<_>>());
    for part in ["**Meaning.**", "**Impact.**", "**Diagnosis.**", "**Mitigation.**"] {
        assert_eq!(runbooks.matches(part).count(), alerts.len(), "{part}");
    }
}

#[test]
fn every_alert_has_a_case_that_fires_and_one_that_does_not() {
    let file: Value = serde_saphyr::from_str(&read(TESTS)).unwrap();
    let cases = file.pointer("/tests").and_then(Value::as_array).unwrap();
    let of = |alert: &str, fires: bool| {
        let about = format!("alertname=\"{alert}\"");
        cases.iter().filter_map(|case| case.pointer("/promql_expr_test/0")).any(|check| {
            let fired = check.pointer("/exp_samples").and_then(Value::as_array).unwrap();
            check.pointer("/expr").unwrap().as_str().unwrap().contains(&about) && fired.is_empty() != fires
        })
    };
    for (alert, _) in alerts() {
        assert!(of(&alert, true) && of(&alert, false), "{alert}");
    }
}

#[test]
#[ignore = "needs promtool: make alerts"]
fn promtool_fires_each_alert_when_it_should() {
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let output = Command::new(promtool)
        .args(["test", "rules", TESTS])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("promtool can be run: the Debian package prometheus has it, or set PROMTOOL");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
