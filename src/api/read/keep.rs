//! Which part of a JSON value is kept while it is parsed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The part of a value to keep. All other parts are skipped.
#[derive(Debug)]
pub enum Keep {
    /// The whole value.
    Whole,
    /// The whole value. A string is cut to so many bytes.
    Text(usize),
    /// These fields of an object.
    Fields(&'static [(&'static str, Self)]),
    /// This part of each entry of a list.
    Each(&'static Self),
}

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

/// Accepts a scalar where an object or list belongs. The type that parses the kept value reports
/// the error.
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
