//! How an object of the API server is read.
//!
//! Parts that the operator does not use are dropped while parsing. So `managedFields` and foreign
//! annotations take no memory, and cannot make an object unreadable. An object that is unreadable
//! all the same is reported by its name ([`ReadObject::Unreadable`]). The other objects of a list
//! are read.

mod keep;
mod metadata;

pub(super) use keep::Keep;
pub(super) use metadata::{METADATA, METADATA_AND_LABELS, METADATA_AND_OWNERS, METADATA_OF_SLICE, metadata};

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error};
use serde_json::Value;

/// A kind of which only a part is read.
pub trait Slim: Resource<DynamicType = ()> + Sized {
    /// The part that is read.
    #[doc(hidden)]
    const KEEP: Keep;
    /// The place in it whose size users control.
    #[doc(hidden)]
    const MEASURED: &'static str = "";
    /// The most bytes that are read of that place: objects of one namespace must not fill the
    /// memory.
    #[doc(hidden)]
    const MAX_BYTES: usize;

    /// Makes the object of the kept parts.
    ///
    /// # Errors
    /// If they do not form an object.
    #[doc(hidden)]
    fn build(kept: Value) -> Result<Self, serde_json::Error>;
}

fn parse<K: Slim>(kept: Value) -> Result<K, String> {
    let bytes = kept.pointer(K::MEASURED).map_or(0, size);
    if bytes > K::MAX_BYTES {
        return Err(format!("it is too large: {bytes} bytes of what is read, at most {} are", K::MAX_BYTES));
    }
    K::build(kept).map_err(|error| error.to_string())
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(entries) => entries.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<u64>(),
    }
}

/// Implements `Deserialize` for a slim type.
pub(super) fn slim<'de, K: Slim, D: Deserializer<'de>>(deserializer: D) -> Result<K, D::Error> {
    parse(K::KEEP.deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An object of a list or a watch. One unreadable object must not hide the others.
#[derive(Clone, Debug)]
pub enum ReadObject<K> {
    /// A readable object.
    Object(K),
    /// An unreadable object.
    Unreadable(Box<Unreadable>),
}

/// An object that cannot be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its namespace, name, UID and version.
    pub metadata: ObjectMeta,
    /// Why it cannot be read.
    pub why: String,
}

impl<'de, K: Slim> Deserialize<'de> for ReadObject<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = K::KEEP.deserialize(deserializer)?;
        let text = |name: &str| Some(kept.get("metadata")?.get(name)?.as_str()?.to_owned());
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(match parse(kept) {
            Ok(object) => Self::Object(object),
            Err(why) => Self::Unreadable(Box::new(Unreadable { metadata, why })),
        })
    }
}

impl<K: Slim> Resource for ReadObject<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Object(object) => object.meta(),
            Self::Unreadable(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Object(object) => object.meta_mut(),
            Self::Unreadable(unreadable) => &mut unreadable.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{GROUP_ANNOTATION, IDENTITY_ANNOTATION, Lease, Pod, Service, SlimGroup};

    fn read<K: Slim>(object: &Value) -> ReadObject<K> {
        // The object is read from text, as in a response.
        serde_json::from_str(&object.to_string()).unwrap()
    }

    fn object<K: Slim>(object: &Value) -> K {
        match read(object) {
            ReadObject::Object(object) => object,
            ReadObject::Unreadable(unreadable) => panic!("{unreadable:?}"),
        }
    }

    fn why<K: Slim>(object: &Value) -> String {
        match read::<K>(object) {
            ReadObject::Object(_) => panic!("it was read"),
            ReadObject::Unreadable(unreadable) => {
                assert_eq!(unreadable.metadata.name.as_deref(), Some("a"));
                unreadable.why
            }
        }
    }

    fn with(field: &str, value: &Value) -> Value {
        let mut object = json!({ "metadata": { "name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "5" },
            "spec": { "selector": {} } });
        *object.pointer_mut("/metadata").unwrap() = {
            let mut metadata = object["metadata"].clone();
            if let Some(name) = field.strip_prefix("metadata.") {
                metadata[name] = value.clone();
            }
            metadata
        };
        if !field.starts_with("metadata.") {
            object[field] = value.clone();
        }
        object
    }

    #[test]
    fn an_annotation_takes_no_more_memory_than_one_that_means_something() {
        let long = "x".repeat(250_000);
        let annotations =
            json!({ GROUP_ANNOTATION: long, "example.com/note": long, "election-operator.io/x": long });
        let metadata = with("metadata.annotations", &annotations);
        let kept = [
            object::<Pod>(&metadata).metadata,
            object::<Lease>(&metadata).metadata,
            object::<Service>(&metadata).metadata,
            object::<SlimGroup>(&metadata).0.metadata,
        ];
        for kept in kept {
            let annotations: Vec<_> = kept.annotations.unwrap().into_iter().collect();
            let [(name, value)] = &annotations[..] else { panic!("{annotations:?}") };
            assert_eq!((name.as_str(), value.len()), (GROUP_ANNOTATION, 512));
        }
        let mark = format!("{}/8d1c7c3e-6a43-4c1e-9f6f-0a5a2f8a3f10", "n".repeat(253));
        let kept = object::<Pod>(&with("metadata.annotations", &json!({ GROUP_ANNOTATION: mark })));
        assert_eq!(kept.metadata.annotations.unwrap()[GROUP_ANNOTATION], mark);
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        let annotations = json!({ IDENTITY_ANNOTATION: "ä".repeat(400) });
        let kept = object::<Pod>(&with("metadata.annotations", &annotations)).metadata.annotations.unwrap();
        assert_eq!(kept[IDENTITY_ANNOTATION], "ä".repeat(256));
        let odd = json!({ IDENTITY_ANNOTATION: format!("x{}", "ä".repeat(400)) });
        let kept = object::<Pod>(&with("metadata.annotations", &odd)).metadata.annotations.unwrap();
        assert_eq!(kept[IDENTITY_ANNOTATION].len(), 511);
    }

    #[test]
    fn what_is_too_large_is_told_and_not_kept() {
        let large = json!({ "large": "x".repeat(70_000) });
        assert!(why::<Pod>(&with("metadata.labels", &large)).starts_with("it is too large: 70"));
        assert!(why::<Service>(&with("spec", &json!({ "selector": large }))).starts_with("it is too large"));
        let selector = json!({ "selector": { "matchLabels": large } });
        assert!(why::<SlimGroup>(&with("spec", &selector)).starts_with("it is too large"));
        let owners = json!([{ "apiVersion": "v1", "kind": "X", "name": "x".repeat(9_000), "uid": "x" }]);
        assert!(why::<Lease>(&with("metadata.ownerReferences", &owners)).starts_with("it is too large"));
        let lease = object::<Lease>(&with("spec", &json!({ "holderIdentity": "x".repeat(70_000) })));
        assert_eq!(
            lease.spec.unwrap().holder_identity.unwrap().len(),
            1024,
            "it holds the Lease all the same"
        );
    }

    #[test]
    fn a_version_that_no_write_can_be_conditional_on_is_none() {
        for version in ["0", "-1", "1.5", "x", "", "18446744073709551616"] {
            let why = why::<Pod>(&with("metadata.resourceVersion", &json!(version)));
            assert!(why.contains("is no positive integer"), "{version:?}: {why}");
        }
    }

    #[test]
    fn an_object_of_another_shape_does_not_hide_those_beside_it() {
        let odd = [json!(7), json!([]), json!({}), json!("x"), json!(null), json!({ "metadata": [] })];
        for odd in odd.into_iter().chain(["metadata", "spec", "status"].map(|part| with(part, &json!([1])))) {
            let list =
                json!({ "metadata": { "resourceVersion": "1" }, "items": [odd, with("x", &json!(1))] });
            let text = list.to_string();
            let pods: kube::core::ObjectList<ReadObject<Pod>> = serde_json::from_str(&text).unwrap();
            assert!(matches!(pods.items[..], [_, ReadObject::Object(_)]), "{odd}");
            let groups: kube::core::ObjectList<ReadObject<SlimGroup>> = serde_json::from_str(&text).unwrap();
            assert!(matches!(groups.items[..], [_, ReadObject::Object(_)]), "{odd}");
        }
    }

    #[test]
    fn a_time_of_deletion_that_cannot_be_held_is_one() {
        let pod = object::<Pod>(&with("metadata.deletionTimestamp", &json!("9999-12-31T23:59:59Z")));
        assert!(pod.is_terminating());
    }
}
