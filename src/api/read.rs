//! How an object of the API server is read.
//!
//! What is not used is dropped while parsing, before anything is made of it: `managedFields` and the annotations of
//! others can neither take memory nor keep an object from being read. An object that cannot be read all the same is
//! told by its name ([`Read::Unreadable`]), and those beside it are read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{
    ADOPT_ANNOTATION, EXCLUDE_ANNOTATION, GROUP_ANNOTATION, IDENTITY_ANNOTATION, PRIORITY_ANNOTATION,
    SWITCHOVER_ANNOTATION, TERM_ANNOTATION,
};

/// What is kept of a value. All else is skipped.
#[derive(Debug)]
pub enum Keep {
    /// All of it.
    Whole,
    /// All of it; a text only up to so many bytes.
    Text(usize),
    /// Only these fields.
    Fields(&'static [(&'static str, Self)]),
    /// Of a list, this much of each entry.
    Each(&'static Self),
}

/// The longest annotation that means anything is a mark: a name of 253 bytes, a UID, and what is between them. What is
/// cut off means nothing, and says so in an Event where the operator tells of it.
const LONGEST_ANNOTATION: usize = 512;

const ANNOTATIONS: Keep = Keep::Fields(&[
    (GROUP_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (TERM_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (PRIORITY_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (EXCLUDE_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (IDENTITY_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (ADOPT_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (SWITCHOVER_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
]);

/// Of the metadata: which object it is, how old, and the annotations that mean anything here.
pub(super) const METADATA: Keep = Keep::Fields(&[
    ("name", Keep::Whole),
    ("namespace", Keep::Whole),
    ("uid", Keep::Whole),
    ("resourceVersion", Keep::Whole),
    ("generation", Keep::Whole),
    ("creationTimestamp", Keep::Whole),
    ("deletionTimestamp", Keep::Whole),
    ("annotations", ANNOTATIONS),
]);

/// Who owns a pod.
const OWNER: Keep =
    Keep::Fields(&[("apiVersion", Keep::Whole), ("kind", Keep::Whole), ("controller", Keep::Whole)]);

/// [`METADATA`], the labels, and who owns it.
pub(super) const METADATA_AND_LABELS: Keep = Keep::Fields(&[
    ("name", Keep::Whole),
    ("namespace", Keep::Whole),
    ("uid", Keep::Whole),
    ("resourceVersion", Keep::Whole),
    ("creationTimestamp", Keep::Whole),
    ("deletionTimestamp", Keep::Whole),
    ("labels", Keep::Whole),
    ("ownerReferences", Keep::Each(&OWNER)),
    ("annotations", ANNOTATIONS),
]);

/// [`METADATA`], and the owners.
pub(super) const METADATA_AND_OWNERS: Keep = Keep::Fields(&[
    ("name", Keep::Whole),
    ("namespace", Keep::Whole),
    ("uid", Keep::Whole),
    ("resourceVersion", Keep::Whole),
    ("deletionTimestamp", Keep::Whole),
    ("ownerReferences", Keep::Whole),
    ("annotations", ANNOTATIONS),
]);

impl<'de> DeserializeSeed<'de> for &Keep {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Keep::Whole => Value::deserialize(deserializer),
            Keep::Text(longest) => Value::deserialize(deserializer).map(|value| cut(value, *longest)),
            Keep::Fields(_) | Keep::Each(_) => deserializer.deserialize_any(Kept(self)),
        }
    }
}

fn cut(mut value: Value, longest: usize) -> Value {
    if let Value::String(text) = &mut value
        && text.len() > longest
    {
        let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.shrink_to_fit();
    }
    value
}

struct Kept<'a>(&'a Keep);

/// What is no object or list where one belongs: this is no error here, and it is one for whoever parses it.
macro_rules! not_expected {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Value, E> {
            Ok(Value::String("neither an object nor a list".to_owned()))
        })*
    };
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("anything")
    }

    not_expected!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let fields = if let Keep::Fields(fields) = self.0 { *fields } else { &[] };
        let mut kept = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if let Some((name, keep)) = fields.iter().find(|(name, _)| *name == key) {
                kept.insert((*name).to_owned(), map.next_value_seed(keep)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let Keep::Each(keep) = self.0 else {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::String("a list".to_owned()));
        };
        let mut kept = Vec::new();
        while let Some(entry) = list.next_element_seed(*keep)? {
            kept.push(entry);
        }
        Ok(Value::Array(kept))
    }
}

/// A kind of which only a part is read.
pub trait Slim: Resource<DynamicType = ()> + Sized {
    /// That part.
    #[doc(hidden)]
    const KEEP: Keep;
    /// Where in it a user decides how large it is.
    #[doc(hidden)]
    const MEASURED: &'static str = "";
    /// How much of that is read at the most: one namespace's objects must not fill the memory.
    #[doc(hidden)]
    const MAX_BYTES: usize;

    /// The object, from what was kept of it.
    ///
    /// # Errors
    /// If it makes no sense.
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

/// For the `Deserialize` of a slim type.
pub(super) fn slim<'de, K: Slim, D: Deserializer<'de>>(deserializer: D) -> Result<K, D::Error> {
    parse(K::KEEP.deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An object of a list or a watch: one that cannot be read must not hide the others.
#[derive(Clone, Debug)]
pub enum ReadObject<K> {
    /// It was read.
    Object(K),
    /// It was not.
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMetadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    #[serde(deserialize_with = "version")]
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    #[serde(deserialize_with = "deletion")]
    deletion_timestamp: Option<Time>,
}

/// Versions are ordered, and each write is conditional on one. A text that is no positive integer can be neither: to take it for 0
/// would make the write unconditional.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match &text {
        Some(version) if version.parse::<u64>().ok().is_none_or(|version| version == 0) => {
            Err(D::Error::custom(format!("metadata.resourceVersion {version:?} is no positive integer")))
        }
        _ => Ok(text),
    }
}

/// A time of deletion that cannot be held is one all the same.
fn deletion<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let time = Option::<Value>::deserialize(deserializer)?;
    Ok(time.map(|time| serde_json::from_value(time).unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH))))
}

pub(super) fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let wire = WireMetadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: wire.name,
        namespace: wire.namespace,
        uid: wire.uid,
        resource_version: wire.resource_version,
        generation: wire.generation,
        labels: wire.labels,
        annotations: wire.annotations.filter(|annotations| !annotations.is_empty()),
        owner_references: wire.owner_references,
        creation_timestamp: wire.creation_timestamp,
        deletion_timestamp: wire.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{Lease, Pod, Service, SlimGroup};

    fn read<K: Slim>(object: &Value) -> ReadObject<K> {
        // As text, as it comes.
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
