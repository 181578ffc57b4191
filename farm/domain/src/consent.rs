//! What a real person allowed, and until when.

use serde::{Deserialize, Serialize};

use crate::{Digest, Problem, Timestamp};

/// A real person's consent to be shown. A character that has one is that person; one that has none is nobody who lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The person's name, as the release has it.
    pub subject: String,
    /// The signed release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<ConsentDocument>,
    /// Where the release is kept if not here, or what else names it: a contract's number, an archive's shelf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the pictures and the likeness may be used for.
    pub licence: String,
    /// From this moment on it holds no more; none holds until it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A signed release as a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentDocument {
    /// The file's name as it was given, for people.
    pub name: String,
    /// Its bytes.
    pub digest: Digest,
}

impl Consent {
    /// Takes a consent for `character` that says who, by which release, for what, and that still holds.
    ///
    /// # Errors
    /// If any of it is missing, or `now` is not before the end.
    pub fn try_new(given: Self, character: &str, now: Timestamp) -> Result<Self, Problem> {
        let refuse = |cause: &str, remedy: &str| Err(Problem::invalid("create character", character, cause, remedy));
        let text = |text: &str| text.trim().to_owned();
        let consent = Self {
            subject: text(&given.subject),
            licence: text(&given.licence),
            reference: given.reference.as_deref().map(text).filter(|r| !r.is_empty()),
            ..given
        };
        if consent.subject.is_empty() {
            return refuse("it is a real person, and the consent does not say who", "say whose consent it is");
        }
        if consent.document.is_none() && consent.reference.is_none() {
            let cause = "it is a real person, and there is neither a signed release nor a reference to one";
            return refuse(cause, "give the signed release as a file, or say where it is kept");
        }
        if consent.licence.is_empty() {
            let cause = "it is a real person, and the consent has no licence";
            return refuse(cause, "say what the pictures and the likeness may be used for");
        }
        if !consent.holds(now) {
            return refuse("its consent has expired", "ask for a new consent, or forget the character");
        }
        Ok(consent)
    }

    /// The error for a real person without consent.
    #[must_use]
    pub fn missing(character: &str) -> Problem {
        let cause = "it is a real person, and there is no consent";
        let remedy = "give the signed release and the licence with it, or leave the person out";
        Problem::invalid("create character", character, cause, remedy)
    }

    /// Whether it holds at that moment.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn consent() -> Consent {
        let document = Some(ConsentDocument { name: "release.pdf".into(), digest: Digest::of(b"signed") });
        let (subject, licence) = (" Jane Doe ".into(), "festival cut only".into());
        Consent { subject, document, reference: None, licence, expires: None }
    }

    #[test]
    fn a_consent_says_who_by_what_and_for_what() {
        let refused = |given| Consent::try_new(given, "MARA", NOW).unwrap_err().to_string();
        assert_eq!(Consent::try_new(consent(), "MARA", NOW).unwrap().subject, "Jane Doe");
        let begin = "create character: MARA: it is a real person, and";
        let nobody = Consent { subject: " ".into(), ..consent() };
        assert_eq!(refused(nobody), format!("{begin} the consent does not say who"));
        let unsigned = Consent { document: None, reference: Some(" ".into()), ..consent() };
        assert_eq!(refused(unsigned), format!("{begin} there is neither a signed release nor a reference to one"));
        assert_eq!(
            refused(Consent { licence: String::new(), ..consent() }),
            format!("{begin} the consent has no licence")
        );
    }

    #[test]
    fn a_consent_ends_at_its_moment() {
        let last = Consent { expires: Some(NOW), ..consent() };
        assert!(last.holds(Timestamp::from_millis(NOW.as_millis() - 1)));
        assert!(!last.holds(NOW));
        let refused = Consent::try_new(last, "MARA", NOW).unwrap_err().to_string();
        assert_eq!(refused, "create character: MARA: its consent has expired");
    }
}
