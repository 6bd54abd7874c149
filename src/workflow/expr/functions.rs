//! The functions there are: names, and how many arguments they take.

use super::text;

/// A function of the expression language.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Function {
    /// `case(predicate, value, …, otherwise)`
    Case,
    /// `contains(text or sequence, item)`
    Contains,
    /// `endsWith(text, end)`
    EndsWith,
    /// `format(text, argument, …)`
    Format,
    /// `fromJSON(text)`
    FromJson,
    /// `join(sequence, separator)`
    Join,
    /// `startsWith(text, start)`
    StartsWith,
    /// `toJSON(value)`
    ToJson,
    /// `always()`: true; its presence makes a condition count even when something failed or was cancelled.
    Always,
    /// `cancelled()`
    Cancelled,
    /// `failure()`, in the condition of a job also `failure('job', …)`
    Failure,
    /// `success()`, in the condition of a job also `success('job', …)`
    Success,
    /// `hashFiles(pattern, …)`
    HashFiles,
}

impl Function {
    /// The functions that are known in every expression.
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

    /// The functions that are known only where GitHub's schema of workflows names them.
    pub const EXTRA: &'static [Self] = &[Self::Always, Self::Cancelled, Self::Failure, Self::Success, Self::HashFiles];

    /// The name as GitHub's documentation spells it. Names mean the same in any case.
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

    /// The function of a name in any case, wherever it may be known.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::BUILT_IN.iter().chain(Self::EXTRA).copied().find(|function| text::equal(function.name(), name))
    }

    /// Whether a condition with this function in it decides for itself what a failure before it means.
    #[must_use]
    pub fn is_status(self) -> bool {
        matches!(self, Self::Always | Self::Cancelled | Self::Failure | Self::Success)
    }

    /// The fewest and the most arguments. `success` and `failure` take arguments only where jobs may be named.
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
