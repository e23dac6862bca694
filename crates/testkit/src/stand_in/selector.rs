//! Field and label selectors, as far as pintle and kubectl use them for these resources.

use serde_json::Value;

use super::resource::Query;
use super::status::ApiStatus;

/// Which objects of a namespace are meant. The default means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selector {
    name: Option<String>,
    labels: Vec<Requirement>,
}

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Is(String, String),
    IsNot(String, String),
    Exists(String),
    Absent(String),
}

// === impl Selector ===

impl Selector {
    pub(super) fn of(query: &Query, namespace: &str) -> Result<Self, ApiStatus> {
        let mut selector = Self::default();
        for term in terms(query, "fieldSelector") {
            let (key, value) = term
                .split_once("==")
                .or_else(|| term.split_once('='))
                .filter(|(key, _)| !key.ends_with('!'))
                .ok_or_else(|| unsupported(term))?;
            match key {
                "metadata.name" => selector.name = Some(value.to_owned()),
                "metadata.namespace" if value == namespace => {}
                "metadata.namespace" => selector.name = Some(String::new()),
                _ => {
                    let message = format!(
                        "\"{key}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    );
                    return Err(ApiStatus::bad_request(message));
                }
            }
        }
        let labels = terms(query, "labelSelector").map(Requirement::parse);
        selector.labels = labels.collect::<Result<_, _>>()?;
        Ok(selector)
    }

    /// The one name that is meant, if it is one: RBAC rules can be about names.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn matches(&self, name: &str, object: &Value) -> bool {
        self.name.as_deref().is_none_or(|wanted| wanted == name)
            && self.labels.iter().all(|requirement| requirement.holds(object))
    }
}

// === impl Requirement ===

impl Requirement {
    fn parse(term: &str) -> Result<Self, ApiStatus> {
        if term.contains([' ', '(', ')', '<', '>']) {
            return Err(unsupported(term));
        }
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Ok(if let Some((key, value)) = term.split_once("!=").map(pair) {
            Self::IsNot(key, value)
        } else if let Some((key, value)) =
            term.split_once("==").or_else(|| term.split_once('=')).map(pair)
        {
            Self::Is(key, value)
        } else if let Some(key) = term.strip_prefix('!') {
            Self::Absent(key.to_owned())
        } else {
            Self::Exists(term.to_owned())
        })
    }

    fn holds(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        match self {
            Self::Is(key, value) => label(key) == Some(value),
            Self::IsNot(key, value) => label(key) != Some(value),
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
        }
    }
}

fn terms<'a>(query: &'a Query, key: &str) -> impl Iterator<Item = &'a str> {
    let text = query.get(key).map(String::as_str).unwrap_or_default();
    text.split(',').filter(|term| !term.is_empty())
}

fn unsupported(term: &str) -> ApiStatus {
    ApiStatus::bad_request(format!("the stand-in does not know the selector {term:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn selector(key: &str, text: &str) -> Result<Selector, ApiStatus> {
        Selector::of(&Query::from([(key.to_owned(), text.to_owned())]), "default")
    }

    #[test]
    fn labels_select() {
        let object = json!({"metadata": {"labels": {"a": "1"}}});
        for (text, matches) in [
            ("a=1", true),
            ("a==1", true),
            ("a=2", false),
            ("a!=2", true),
            ("a!=1", false),
            ("b!=1", true),
            ("a", true),
            ("!a", false),
            ("!b", true),
            ("a=1,b", false),
            ("", true),
        ] {
            assert_eq!(
                selector("labelSelector", text).unwrap().matches("x", &object),
                matches,
                "{text}"
            );
        }
        assert_eq!(selector("labelSelector", "a in (1)").unwrap_err().code, 400);
    }

    #[test]
    fn fields_select() {
        for (text, matches) in [
            ("metadata.name=x", true),
            ("metadata.name==x", true),
            ("metadata.name=y", false),
            ("metadata.namespace=default", true),
            ("metadata.namespace=other", false),
        ] {
            let object = json!({});
            assert_eq!(
                selector("fieldSelector", text).unwrap().matches("x", &object),
                matches,
                "{text}"
            );
        }
        assert_eq!(selector("fieldSelector", "spec.x=1").unwrap_err().code, 400);
        assert_eq!(selector("fieldSelector", "metadata.name!=x").unwrap_err().code, 400);
    }
}
