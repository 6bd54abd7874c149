//! Names and arities of the functions.

use super::text;

/// A function of the expression language.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Function {
    /// `case(predicate, value, …, otherwise)`
    Case,
    /// `contains(string or array, item)`
    Contains,
    /// `endsWith(string, end)`
    EndsWith,
    /// `format(string, argument, …)`
    Format,
    /// `fromJSON(string)`
    FromJson,
    /// `join(array, separator)`
    Join,
    /// `startsWith(string, start)`
    StartsWith,
    /// `toJSON(value)`
    ToJson,
    /// `always()` is true. A condition that calls it also holds after a failure or a cancellation.
    Always,
    /// `cancelled()`
    Cancelled,
    /// `failure()`; in the condition of a job, also `failure('job', …)`
    Failure,
    /// `success()`; in the condition of a job, also `success('job', …)`
    Success,
    /// `hashFiles(pattern, …)`
    HashFiles,
}

impl Function {
    /// Functions that every expression may call.
    pub const BUILT_IN: &'static [Self] = &[
        Self::Case,
        Self::Contains,
        Self::EndsWith,
        Self::Format,
        Self::FromJson,
        Self::Join,
        Self::StartsWith,
        Self::ToJson,
    ];

    /// Functions that only some keys of a workflow allow, as GitHub's workflow schema lists them.
    pub const EXTRA: &'static [Self] = &[Self::Always, Self::Cancelled, Self::Failure, Self::Success, Self::HashFiles];

    /// Returns the name as GitHub's documentation spells it. Function names are case-insensitive.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::Contains => "contains",
            Self::EndsWith => "endsWith",
            Self::Format => "format",
            Self::FromJson => "fromJSON",
            Self::Join => "join",
            Self::StartsWith => "startsWith",
            Self::ToJson => "toJSON",
            Self::Always => "always",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
            Self::Success => "success",
            Self::HashFiles => "hashFiles",
        }
    }

    /// Returns the function with a name, in any case; `None` if there is no such function.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::BUILT_IN.iter().chain(Self::EXTRA).copied().find(|function| text::equal(function.name(), name))
    }

    /// Whether this is a status function. A condition that calls one gets no implicit `success()`.
    #[must_use]
    pub fn is_status(self) -> bool {
        matches!(self, Self::Always | Self::Cancelled | Self::Failure | Self::Success)
    }

    /// Returns the minimum and maximum number of arguments. `success` and `failure` accept arguments only if
    /// `jobs_named`.
    #[must_use]
    pub fn arity(self, jobs_named: bool) -> (usize, usize) {
        const MANY: usize = u8::MAX as usize;
        match self {
            Self::Case => (3, MANY),
            Self::Contains | Self::EndsWith | Self::StartsWith => (2, 2),
            Self::Format | Self::HashFiles => (1, MANY),
            Self::FromJson | Self::ToJson => (1, 1),
            Self::Join => (1, 2),
            Self::Failure | Self::Success if jobs_named => (0, MANY),
            Self::Always | Self::Cancelled | Self::Failure | Self::Success => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_name_in_any_case() {
        for function in Function::BUILT_IN.iter().chain(Function::EXTRA) {
            assert_eq!(Function::named(&function.name().to_uppercase()), Some(*function));
            assert_eq!(Function::BUILT_IN.contains(function), !Function::EXTRA.contains(function));
        }
        assert_eq!(Function::named("toLower"), None);
    }
}
