//! Objects as plain JSON: the tests see what a user sees, not the types of the crate under test.

use serde_json::Value;

/// Short access to the parts of a JSON value, by pointer.
pub trait At {
    /// The value at `pointer`, or null.
    fn at(&self, pointer: &str) -> &Value;

    /// The text at `pointer`, or nothing if there is none.
    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    /// The number at `pointer`, or 0.
    fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).as_i64().unwrap_or_default()
    }

    /// The items of the list at `pointer`.
    fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().map_or(&[], Vec::as_slice)
    }

    /// The condition `kind` of an object's status, or null.
    fn condition(&self, kind: &str) -> &Value {
        let mut conditions = self.list("/status/conditions").iter();
        conditions.find(|condition| condition.text("/type") == kind).unwrap_or(&Value::Null)
    }

    /// Whether the condition `kind` has this status.
    fn has(&self, kind: &str, status: &str) -> bool {
        self.condition(kind).text("/status") == status
    }
}

impl At for Value {
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or(&Value::Null)
    }
}

/// Puts `patch` over `target` as a JSON merge patch (RFC 7396) does.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// `target` with `patch` over it.
#[must_use]
pub fn merged(mut target: Value, patch: &Value) -> Value {
    merge(&mut target, patch);
    target
}
