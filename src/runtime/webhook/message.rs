//! Messages of the webhook.
//!
//! Every message has the same keys, with null where a key does not apply:
//!
//! | key | |
//! |---|---|
//! | `event` | `started_leading`, `stopped_leading`, `new_leader` |
//! | `text` | the message as a sentence, which chats show |
//! | `name` | name of the election |
//! | `lock` | the lock, as in the log |
//! | `identity` | identity of this candidate |
//! | `holder` | identity of the leader, which is this candidate; null for `stopped_leading` |
//! | `fencingToken` | fencing token of the term that began or ended |
//! | `reason` | reason for the end of a term |
//! | `detail` | that reason in words |
//! | `time` | time of the transition by this machine's clock (RFC 3339) |

use serde::Serialize;

use crate::runtime::transitions::{NEW_LEADER, STARTED_LEADING, STOPPED_LEADING, Transition};
use crate::system::clock::utc_timestamp_millis;

/// Messages of a candidate.
#[derive(Debug)]
pub(super) struct Messages {
    identity: String,
    name: String,
    lock: String,
    /// Fencing token of this candidate's term, until it is over.
    term: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    event: &'static str,
    text: String,
    name: &'a str,
    lock: &'a str,
    identity: &'a str,
    holder: Option<&'a str>,
    fencing_token: u64,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    time: String,
}

impl Messages {
    /// Creates the messages of a candidate of the election `name`, decided in `lock`.
    pub(super) fn new(identity: &str, name: String, lock: String) -> Self {
        Messages {
            identity: identity.to_owned(),
            name,
            lock,
            term: None,
        }
    }

    /// Returns the message for a transition, if it has one. Only the new leader has one for a new leader,
    /// so that several candidates do not tell the same.
    pub(super) fn of(&mut self, transition: &Transition) -> Option<String> {
        let Messages { identity, name, .. } = &*self;
        let message = match transition {
            Transition::StartedLeading { fencing_token, .. } => {
                let text =
                    format!("{identity} started leading {name}, fencing token {fencing_token}");
                let text = self.message(STARTED_LEADING, *fencing_token, &text, None);
                self.term = Some(*fencing_token);
                text
            }
            Transition::StoppedLeading {
                fencing_token,
                reason,
                detail,
            } => {
                let text = format!("{identity} stopped leading {name}: {detail}");
                let reason = Some((reason.as_str(), detail.as_str()));
                self.message(STOPPED_LEADING, *fencing_token, &text, reason)
            }
            Transition::NewLeader {
                identity: leader,
                fencing_token: Some(fencing_token),
            } if leader == identity && self.term == Some(*fencing_token) => {
                let text = format!("{identity} is the new leader of {name}");
                self.message(NEW_LEADER, *fencing_token, &text, None)
            }
            Transition::TermOver { .. } => {
                self.term = None;
                return None;
            }
            Transition::NewLeader { .. } | Transition::Renewed { .. } => return None,
        };
        Some(message)
    }

    /// Returns a message as JSON. A term that ends has a reason, for programs and in words.
    fn message(
        &self,
        event: &'static str,
        fencing_token: u64,
        text: &str,
        reason: Option<(&'static str, &str)>,
    ) -> String {
        let message = Message {
            event,
            text: escaped(text),
            name: &self.name,
            lock: &self.lock,
            identity: &self.identity,
            holder: reason.is_none().then_some(&self.identity),
            fencing_token,
            reason: reason.map(|(reason, _)| reason),
            detail: reason.map(|(_, detail)| detail),
            time: utc_timestamp_millis(),
        };
        serde_json::to_string(&message).expect("its keys and values are texts and numbers")
    }
}

/// Escapes what has a meaning in a chat, so that no name can mention or link anything.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::election::action::StopReason;
    use crate::election::time::Instant;

    fn messages() -> Messages {
        Messages::new("me", "Payments".into(), "gist 1".into())
    }

    fn told(messages: &mut Messages, transition: &Transition) -> Value {
        let message = messages.of(transition).unwrap_or("null".into());
        let mut message: Value = serde_json::from_str(&message).unwrap();
        if let Some(message) = message.as_object_mut() {
            let time = message.remove("time").unwrap();
            assert_eq!(time.as_str().unwrap().len(), 24);
        }
        message
    }

    fn started(fencing_token: u64) -> Transition {
        Transition::StartedLeading {
            fencing_token,
            valid_until: Instant::BOOT,
        }
    }

    fn leader(identity: &str, fencing_token: Option<u64>) -> Transition {
        Transition::NewLeader {
            identity: identity.into(),
            fencing_token,
        }
    }

    fn stopped(fencing_token: u64, detail: &str) -> Transition {
        Transition::StoppedLeading {
            fencing_token,
            reason: StopReason::RenewDeadline,
            detail: detail.into(),
        }
    }

    #[test]
    fn message_names_lock_and_reason() {
        let mut messages = messages();
        assert_eq!(
            told(&mut messages, &started(7)),
            json!({
                "event": "started_leading",
                "text": "me started leading Payments, fencing token 7",
                "name": "Payments",
                "lock": "gist 1",
                "identity": "me",
                "holder": "me",
                "fencingToken": 7,
                "reason": null,
                "detail": null,
            })
        );
        assert_eq!(
            told(
                &mut messages,
                &stopped(7, "lost the lease: 7 renewals failed")
            ),
            json!({
                "event": "stopped_leading",
                "text": "me stopped leading Payments: lost the lease: 7 renewals failed",
                "name": "Payments",
                "lock": "gist 1",
                "identity": "me",
                "holder": null,
                "fencingToken": 7,
                "reason": StopReason::RenewDeadline.as_str(),
                "detail": "lost the lease: 7 renewals failed",
            })
        );
    }

    #[test]
    fn only_new_leader_tells_of_itself() {
        let mut messages = messages();
        for other in [
            leader("you", Some(6)),
            leader("", None),
            leader("you", None),
            // Another process of the same name leads.
            leader("me", Some(6)),
            leader("me", None),
        ] {
            assert_eq!(told(&mut messages, &other), Value::Null);
        }
        told(&mut messages, &started(7));
        let message = told(&mut messages, &leader("me", Some(7)));
        assert_eq!(message["event"], "new_leader");
        assert_eq!(message["holder"], "me");
        assert_eq!(message["fencingToken"], 7);
        assert_eq!(message["text"], "me is the new leader of Payments");
        assert_eq!(messages.of(&leader("me", Some(6))), None);
        assert_eq!(
            messages.of(&Transition::TermOver { fencing_token: 7 }),
            None
        );
        assert_eq!(messages.of(&leader("me", Some(7))), None);
    }

    #[test]
    fn text_cannot_mention_anybody() {
        let mut messages = Messages::new("<!channel> & co", "P".into(), "gist 1".into());
        let message = told(&mut messages, &started(1));
        assert_eq!(message["identity"], "<!channel> & co");
        assert_eq!(
            message["text"],
            "&lt;!channel&gt; &amp; co started leading P, fencing token 1"
        );
    }
}
