//! What requests say, read strictly: a misspelt field must not be taken for its default.

use serde::{Deserialize, Serialize};
use supervisor::{Dependants, Until};

/// The body of `POST /v1/start`, `/v1/restart`, `/v1/reset`, `/v1/reload` and `/v1/rotate`; an empty body is the same as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SelectionDocument {
    /// Ids, common names of instances, or globs; absent or `null`: every component. Not where the path names one.
    #[serde(default)]
    pub components: Option<Vec<String>>,
}

/// The body of `POST /v1/stop`; an empty body is the same as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StopDocument {
    /// As in [`SelectionDocument`].
    #[serde(default)]
    pub components: Option<Vec<String>>,
    /// What happens to running components that depend on these: `refuse` (the default), `stop` or `leave`.
    #[serde(default, with = "DependantsWord")]
    pub dependants: Dependants,
}

/// The body of `POST /v1/signal`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SignalDocument {
    /// As in [`SelectionDocument`].
    #[serde(default)]
    pub components: Option<Vec<String>>,
    /// The signal: its name, with or without `SIG`, or its number.
    #[serde(default)]
    pub signal: String,
}

/// The body of `POST /v1/wait`; an empty body is the same as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WaitDocument {
    /// As in [`SelectionDocument`].
    #[serde(default)]
    pub components: Option<Vec<String>>,
    /// What to wait for: `ready` (the default), `started` or `stopped`.
    #[serde(default, with = "UntilWord")]
    pub until: Until,
}

/// The body of `POST /v1/shutdown`; an empty body is the same as `{}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ShutdownDocument {
    /// Kill everything now instead of stopping it in order. Default: false.
    #[serde(default)]
    pub immediately: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Dependants", rename_all = "camelCase")]
enum DependantsWord {
    Refuse,
    Stop,
    Leave,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Until", rename_all = "camelCase")]
enum UntilWord {
    Started,
    Ready,
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn is_refused<T: DeserializeOwned>(document: Value) -> bool {
        serde_json::from_value::<T>(document).is_err()
    }

    #[test]
    fn what_is_misspelt_is_refused_and_never_taken_for_its_default() {
        assert!(is_refused::<SelectionDocument>(json!({"component": ["ps"]})));
        assert!(is_refused::<ShutdownDocument>(json!({"immediatly": true})));
        assert!(is_refused::<StopDocument>(json!({"dependents": "stop"})));
        assert!(is_refused::<StopDocument>(json!({"dependants": "Stop"})));
        assert!(is_refused::<SignalDocument>(json!({"signal": 1})));
        assert!(is_refused::<WaitDocument>(json!({"until": "up"})));
    }

    #[test]
    fn what_is_left_out_has_its_default_and_words_are_those_of_the_manual() {
        let stop: StopDocument = serde_json::from_value(json!({})).unwrap();
        assert_eq!(stop.dependants, Dependants::Refuse);
        let wait: WaitDocument = serde_json::from_value(json!({})).unwrap();
        assert_eq!(wait.until, Until::Ready);
        for (word, dependants) in
            [("refuse", Dependants::Refuse), ("stop", Dependants::Stop), ("leave", Dependants::Leave)]
        {
            let document = StopDocument { components: None, dependants };
            assert_eq!(serde_json::to_value(&document).unwrap()["dependants"], word);
        }
        for (word, until) in
            [("ready", Until::Ready), ("started", Until::Started), ("stopped", Until::Stopped)]
        {
            let document: WaitDocument = serde_json::from_value(json!({"until": word})).unwrap();
            assert_eq!(document.until, until);
        }
    }
}
