//! JSON written by hand: a duplicate key in an object is an error. serde would silently keep the last one.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a value.
///
/// # Errors
/// The text is not JSON, an object has a key twice ([`serde_json::Error::is_data`]), or the value has another form. With the
/// line and the column.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Keys { path: "" }.deserialize(&mut reader)?;
    reader.end()?;
    serde_json::from_slice(text)
}

/// Looks at the keys of a value, which stands at a path, and at nothing else.
struct Keys<'a> {
    path: &'a str,
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if !seen.insert(key) {
                let shown: String = path.chars().take(200).collect();
                return Err(A::Error::custom(format_args!("the key `{}` stands there twice", shown.escape_debug())));
            }
            map.next_value_seed(Keys { path: &path })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Keys { path: self.path })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_named_with_its_place() {
        for (text, says) in [
            (r#"{"a": 1, "a": 2}"#, "the key `a` stands there twice at line 1 column 12"),
            (
                "{\"rooms\": {\n \"hall\": {},\n \"hall\": {}}}",
                "the key `rooms.hall` stands there twice at line 3 column 7",
            ),
            (r#"[{"a": [{"b": null, "c": 1.5, "b": "x"}]}]"#, "the key `a.b` stands there twice"),
            ("{\"\\u0061\": 1, \"a\": 2}", "the key `a` stands there twice"),
            ("{\"\\u001b[31m\": 1, \"\\u001b[31m\": 2}", "the key `\\u{1b}[31m` stands there twice"),
        ] {
            let error = from_slice::<Value>(text.as_bytes()).unwrap_err();
            assert!(error.is_data() && error.to_string().starts_with(says), "{text}: {error}");
        }
    }

    #[test]
    fn everything_else_is_read_as_ever() {
        let text = r#" {"a": {"x": 1, "y": [true, null, -2, 1e300, 18446744073709551615]}, "b": {"x": "ü"}, "A": []} "#;
        let value: Value = from_slice(text.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(value["b"], json!({"x": "ü"}));
        for broken in ["", "{", "{} {}", "{\"a\": }", "nul", &"[".repeat(100_000)] {
            let error = from_slice::<Value>(broken.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), serde_json::from_str::<Value>(broken).unwrap_err().to_string());
        }
    }
}
