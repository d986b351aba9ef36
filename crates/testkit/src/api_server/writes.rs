//! Writes of clients: under which conditions, and what they change.

use serde_json::{Value, json};

use super::call::{Call, Verb};
use super::refusal::Refusal;
use super::store::{Hooks, Key, Store, key};
use crate::json::{At, merge};
use crate::kind::Kind;

impl<T: Hooks> Store<T> {
    pub(super) fn write(&mut self, call: &Call) -> Result<Value, Refusal> {
        let key = key(call);
        let Some(before) = self.at(&key).cloned() else { return self.write_new(key, call) };
        let kind = call.kind;
        match call.verb {
            Verb::Create => Err(Refusal::already_exists(kind, &call.name)),
            Verb::Update => {
                check_put(kind, &before, &call.body)?;
                self.accept(key, replaced(&before, call))
            }
            Verb::Patch => {
                check_patch(kind, &before, &call.body)?;
                self.accept(key, patched(&before, call))
            }
            _ => {
                check_delete(kind, &before, &call.body)?;
                Ok(self.remove(&key, true).unwrap_or_default())
            }
        }
    }

    /// There is no object of this name.
    fn write_new(&mut self, key: Key, call: &Call) -> Result<Value, Refusal> {
        let put_creates = call.kind.row().put.creates && !call.is_status;
        match call.verb {
            Verb::Update if !call.body.text("/metadata/uid").is_empty() => {
                Err(Refusal::other_uid(call.kind, &call.name))
            }
            Verb::Update if !put_creates => Err(Refusal::missing(call.kind, &call.name)),
            Verb::Create | Verb::Update => {
                let mut object = call.body.clone();
                if call.kind.row().has_status {
                    object.as_object_mut().and_then(|object| object.remove("status"));
                }
                self.test.admit(call.kind, &mut object)?;
                Ok(self.insert(key, object, true))
            }
            _ => Err(Refusal::missing(call.kind, &call.name)),
        }
    }

    fn accept(&mut self, key: Key, mut object: Value) -> Result<Value, Refusal> {
        self.test.admit(key.0, &mut object)?;
        Ok(self.commit(key, object, true))
    }
}

/// Whether a condition is given, and another value is there.
fn differs(before: &Value, given: &Value) -> bool {
    !given.is_null() && before != given
}

fn check_put(kind: Kind, before: &Value, body: &Value) -> Result<(), Refusal> {
    let (old, new, name) = (&before["metadata"], &body["metadata"], before.text("/metadata/name"));
    if differs(&old["uid"], &new["uid"]) {
        return Err(Refusal::other_uid(kind, name));
    }
    if new["resourceVersion"].is_null() && !kind.row().put.unconditional {
        return Err(Refusal::no_version(kind, name));
    }
    if differs(&old["resourceVersion"], &new["resourceVersion"]) {
        return Err(Refusal::other_version(kind, name));
    }
    Ok(())
}

fn check_patch(kind: Kind, before: &Value, patch: &Value) -> Result<(), Refusal> {
    let (old, new, name) = (&before["metadata"], &patch["metadata"], before.text("/metadata/name"));
    if differs(&old["resourceVersion"], &new["resourceVersion"]) {
        return Err(Refusal::other_version(kind, name));
    }
    if differs(&old["uid"], &new["uid"]) {
        return Err(Refusal::changed_uid(kind, name));
    }
    Ok(())
}

fn check_delete(kind: Kind, before: &Value, options: &Value) -> Result<(), Refusal> {
    let (old, new, name) = (&before["metadata"], &options["preconditions"], before.text("/metadata/name"));
    if differs(&old["uid"], &new["uid"]) {
        return Err(Refusal::other_uid(kind, name));
    }
    if differs(&old["resourceVersion"], &new["resourceVersion"]) {
        return Err(Refusal::other_version(kind, name));
    }
    Ok(())
}

/// What the API server alone writes stays as it was.
fn keep(object: &mut Value, before: &Value) {
    for field in ["namespace", "uid", "resourceVersion", "creationTimestamp"] {
        object["metadata"][field] = before["metadata"][field].clone();
    }
}

/// Takes the status from one object into the other.
fn take_status(object: &mut Value, from: &Value) {
    match from.get("status") {
        Some(status) => object["status"] = status.clone(),
        None => {
            object.as_object_mut().and_then(|object| object.remove("status"));
        }
    }
}

fn replaced(before: &Value, call: &Call) -> Value {
    if call.is_status {
        let mut object = before.clone();
        take_status(&mut object, &call.body);
        return object;
    }
    let mut object = call.body.clone();
    keep(&mut object, before);
    if call.kind.row().has_status {
        take_status(&mut object, before);
    }
    object
}

fn patched(before: &Value, call: &Call) -> Value {
    let mut object = before.clone();
    if call.is_status {
        merge(&mut object["status"], &call.body["status"]);
        return object;
    }
    merge(&mut object, &call.body);
    keep(&mut object, before);
    if call.kind.row().has_status {
        take_status(&mut object, before);
    }
    if let Some(labels) = call.body.at("/metadata/labels").as_object() {
        let given = labels.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.as_str());
        claim_labels(&mut object, given, call.parameter("fieldManager"));
    }
    object
}

/// Notes in `managedFields` which labels a field manager has written. Other fields are not noted.
fn claim_labels<'a>(object: &mut Value, given: impl Iterator<Item = &'a str>, manager: &str) {
    let owned: Value = given.map(|key| (format!("f:{key}"), json!({}))).collect();
    object["metadata"]["managedFields"] = json!([{
        "manager": manager,
        "operation": "Update",
        "fieldsType": "FieldsV1",
        "fieldsV1": { "f:metadata": { "f:labels": owned } },
    }]);
}
