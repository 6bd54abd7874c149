//! Checks requests against GitHub's description of its API, `openapi-actions.json`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::sync::LazyLock;

use serde_json::Value;

use crate::fake_github::material;

/// Requests of previews, which the description does not have yet: the address of the debugger of a job.
const PREVIEWS: &[&str] = &["/debugger"];

static DESCRIPTION: LazyLock<Option<Value>> = LazyLock::new(|| {
    let text = fs::read(material()?.join("openapi-actions.json")).expect("the description");
    Some(serde_json::from_slice(&text).expect("JSON"))
});

/// Checks requests, each as method, target and body, and panics with those that are not valid. Appends the operations
/// that were requested to the file that `CUELIGHT_OPERATIONS` names.
pub(crate) fn check(requests: &[(String, String, String)]) {
    let Some(description) = &*DESCRIPTION else { return };
    let (mut operations, mut violations) = (BTreeSet::new(), BTreeSet::new());
    for (method, target, body) in requests {
        match violation(description, method, target, body) {
            Ok(operation) => drop(operations.insert(operation)),
            Err(why) => drop(violations.insert(format!("{method} {target} {body}: {why}"))),
        }
    }
    if let Some(file) = std::env::var_os("CUELIGHT_OPERATIONS") {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(file).expect("a file");
        for operation in &operations {
            writeln!(file, "{operation}").expect("written");
        }
    }
    assert!(violations.is_empty(), "requests that GitHub does not describe: {violations:#?}");
}

/// Returns the id of the requested operation, or why the request is not valid.
fn violation(description: &Value, method: &str, target: &str, body: &str) -> Result<String, String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if PREVIEWS.iter().any(|preview| path.ends_with(preview)) {
        return Ok("a preview".to_owned());
    }
    let method = method.to_ascii_lowercase();
    let paths = description["paths"].as_object().expect("paths");
    let found = paths.iter().filter_map(|(pattern, all)| {
        let values = values_of(pattern, path)?;
        Some((values.len(), all.get(&method)?, all, values))
    });
    // GitHub reads a path as the description with the fewest placeholders.
    let Some((_, operation, all, values)) = found.min_by_key(|(count, ..)| *count) else {
        return Err("no such operation".to_owned());
    };
    let listed = [&all["parameters"], &operation["parameters"]];
    let parameters: Vec<&Value> =
        listed.into_iter().filter_map(Value::as_array).flatten().map(|one| resolved(description, one)).collect();
    let parameter = |kind: &str, name: &str| {
        parameters.iter().find(|parameter| parameter["in"] == kind && parameter["name"] == name).copied()
    };
    for (name, value) in values {
        let parameter = parameter("path", &name).ok_or_else(|| format!("no parameter `{name}`"))?;
        of_schema(description, &typed(&value), &parameter["schema"])?;
    }
    for (name, value) in
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    {
        let parameter = parameter("query", name).ok_or_else(|| format!("no parameter `{name}`"))?;
        of_schema(description, &typed(value), &parameter["schema"]).map_err(|why| format!("`{name}`: {why}"))?;
    }
    let needed = parameters.iter().filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    for name in needed.filter_map(|parameter| parameter["name"].as_str()) {
        if !query.split('&').any(|pair| pair.split('=').next() == Some(name)) {
            return Err(format!("`{name}` is missing"));
        }
    }
    let request = resolved(description, &operation["requestBody"]);
    match (body.trim(), request["required"] == true) {
        ("", true) => return Err("the body is missing".to_owned()),
        ("", false) => {}
        (body, _) => {
            let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
            of_schema(description, &body, &request["content"]["application/json"]["schema"])?;
        }
    }
    Ok(operation["operationId"].as_str().unwrap_or_default().to_owned())
}

/// Returns the values of the placeholders of a path; `None` if it does not match the pattern. A ref or a path at the end
/// may contain slashes.
fn values_of(pattern: &str, path: &str) -> Option<Vec<(String, String)>> {
    let patterns: Vec<&str> = pattern.split('/').collect();
    let is_open = pattern.ends_with("/{path}") || pattern.ends_with("/{ref}");
    let parts: Vec<&str> = if is_open { path.splitn(patterns.len(), '/').collect() } else { path.split('/').collect() };
    if parts.len() != patterns.len() {
        return None;
    }
    let mut values = Vec::new();
    for (pattern, part) in patterns.into_iter().zip(parts) {
        match pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !part.is_empty() => values.push((name.to_owned(), part.to_owned())),
            _ if pattern == part => {}
            _ => return None,
        }
    }
    Some(values)
}

/// Returns a value of a target as JSON: a number, a boolean or a text.
fn typed(value: &str) -> Value {
    serde_json::from_str(value).ok().filter(|value: &Value| !value.is_object()).unwrap_or_else(|| value.into())
}

fn resolved<'d>(description: &'d Value, value: &'d Value) -> &'d Value {
    let pointer = value["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
    pointer.map_or(value, |pointer| description.pointer(pointer).expect("a reference"))
}

/// Checks a value against a schema.
fn of_schema(description: &Value, value: &Value, schema: &Value) -> Result<(), String> {
    let schema = resolved(description, schema);
    for any in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[any].as_array() {
            let fits = |schema: &Value| of_schema(description, value, schema).is_ok();
            return schemas.iter().any(fits).then_some(()).ok_or_else(|| format!("{value} fits none of {any}"));
        }
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        // A text of a target may look like a number.
        Some("string") => !value.is_object() && !value.is_array(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        _ => true,
    };
    if !fits {
        return Err(format!("{value} is not of the type {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{value} is not one of {}", schema["enum"]));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("`{name}` is missing"));
        }
    }
    let known = schema["properties"].as_object();
    for (name, field) in value.as_object().into_iter().flatten() {
        match known.and_then(|known| known.get(name)) {
            Some(schema) => of_schema(description, field, schema).map_err(|why| format!("`{name}`: {why}"))?,
            None if known.is_some() && schema["additionalProperties"].is_null() => {
                return Err(format!("`{name}` is unknown"));
            }
            None => {}
        }
    }
    value.as_array().into_iter().flatten().try_for_each(|item| of_schema(description, item, &schema["items"]))
}

#[test]
fn a_request_that_is_not_described_is_found() {
    let Some(description) = &*DESCRIPTION else { return };
    let of = |method: &str, target: &str, body: &str| violation(description, method, target, body);
    let runs = "/repos/o/r/actions/runs";
    assert_eq!(of("GET", &format!("{runs}?per_page=30"), "").as_deref(), Ok("actions/list-workflow-runs-for-repo"));
    assert!(of("GET", &format!("{runs}?size=30"), "").is_err_and(|why| why.contains("no parameter `size`")));
    assert!(of("GET", &format!("{runs}?per_page=all"), "").is_err());
    assert!(of("GET", &format!("{runs}/latest"), "").is_err_and(|why| why.contains("integer")));
    assert!(of("PATCH", runs, "").is_err_and(|why| why == "no such operation"));
    let pending = format!("{runs}/5/pending_deployments");
    assert!(of("POST", &pending, "").is_err());
    assert!(of("POST", &pending, r#"{"environment_ids":[1],"state":"yes","comment":""}"#).is_err());
    assert!(of("POST", &pending, r#"{"environment_ids":[1],"state":"approved","comment":""}"#).is_ok());
}
