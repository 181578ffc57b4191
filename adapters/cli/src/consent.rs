//! What a real person allowed: as flags, as a table of `character.toml`, and as it is shown.

use clap::Args;
use greenroom_domain::Problem;
use greenroom_proto::v1;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use std::path::{Path, PathBuf};

use crate::{environment, upload::LocalFile};

/// A consent as a person gives it. What must be in it is the farm's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsentFile {
    /// The person's name.
    pub(crate) subject: String,
    /// The signed release.
    pub(crate) document: Option<PathBuf>,
    /// Where the release is kept, if not here.
    pub(crate) reference: Option<String>,
    /// What the likeness may be used for.
    pub(crate) licence: String,
    /// The last day on which it holds.
    pub(crate) expires: Option<Date>,
}

/// The same as flags.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConsentArgs {
    /// The real person's name, as the release has it
    #[arg(long, value_name = "NAME", requires = "real_person")]
    subject: Option<String>,
    /// The signed release, kept with the character
    #[arg(long, value_name = "FILE", requires = "real_person")]
    consent: Option<PathBuf>,
    /// Where the release is kept, if not here: a contract's number, an archive
    #[arg(long, value_name = "TEXT", requires = "real_person")]
    consent_reference: Option<String>,
    /// What the pictures and the likeness may be used for
    #[arg(long, value_name = "TEXT", requires = "real_person")]
    licence: Option<String>,
    /// Last day of the consent, YYYY-MM-DD [default: until it is withdrawn]
    #[arg(long, value_name = "DATE", requires = "real_person")]
    expires: Option<Date>,
}

impl ConsentArgs {
    /// What was given; none where nothing was.
    pub(crate) fn given(&self) -> Option<ConsentFile> {
        let Self { subject, consent, consent_reference, licence, expires } = self.clone();
        let given = ConsentFile {
            subject: subject.unwrap_or_default(),
            document: consent,
            reference: consent_reference,
            licence: licence.unwrap_or_default(),
            expires,
        };
        (given != ConsentFile::default()).then_some(given)
    }
}

impl ConsentFile {
    /// Takes the release to lie in that folder, and answers where.
    pub(crate) fn beside(&mut self, folder: &Path) -> Option<PathBuf> {
        self.document = self.document.take().map(|document| folder.join(document));
        self.document.clone()
    }

    /// For the farm, with the file that must be sent first.
    pub(crate) fn to_wire(&self) -> Result<(v1::Consent, Option<LocalFile>), Problem> {
        let release = self.document.as_ref().map(|path| LocalFile::hash(path, "read consent")).transpose()?;
        let consent = v1::Consent {
            subject: self.subject.clone(),
            document_name: release.as_ref().map(LocalFile::name).unwrap_or_default(),
            document_digest: release.as_ref().map(|file| file.digest.to_string()).unwrap_or_default(),
            reference: self.reference.clone().unwrap_or_default(),
            licence: self.licence.clone(),
            expire_time: self.expires.map(|day| end(day, self)).transpose()?,
        };
        Ok((consent, release))
    }
}

/// `, real person`, and whether they still allow it.
pub(crate) fn line(character: &v1::Character) -> &'static str {
    match &character.consent {
        None => "",
        Some(consent) if holds(consent, environment::now().as_millis()) => ", real person",
        Some(_) => ", real person, consent expired",
    }
}

/// Who, by which release, until when, and for what.
pub(crate) fn lines(consent: &v1::Consent) -> [String; 2] {
    let release = [&consent.document_name, &consent.reference].into_iter().filter(|text| !text.is_empty());
    let release = release.cloned().collect::<Vec<_>>().join(", ");
    let until = last_day(consent).map_or_else(|| "until withdrawn".to_owned(), |day| format!("until {day}"));
    [
        format!("  consent      {}, by {release}, {until}", consent.subject),
        format!("  licence      {}", consent.licence),
    ]
}

fn holds(consent: &v1::Consent, now_ms: i64) -> bool {
    consent.expire_time.is_none_or(|end| now_ms < end.seconds * 1000)
}

fn last_day(consent: &v1::Consent) -> Option<Date> {
    let end = Timestamp::from_second(consent.expire_time?.seconds - 1).ok()?;
    Some(end.to_zoned(TimeZone::UTC).date())
}

/// The midnight, in UTC, after the last day.
fn end(day: Date, consent: &ConsentFile) -> Result<prost_types::Timestamp, Problem> {
    let midnight = day.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
    let midnight = midnight.map_err(|e| {
        Problem::invalid("read consent", &consent.subject, e, "write the last day as YYYY-MM-DD, before the year 9999")
    })?;
    Ok(prost_types::Timestamp { seconds: midnight.timestamp().as_second(), nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consent_holds_to_the_end_of_its_last_day() {
        let subject = "Jane Doe".to_owned();
        let reference = Some("contract 114".to_owned());
        let expires = Some("2027-03-31".parse().unwrap());
        let given = ConsentFile { subject, reference, licence: "this film".into(), expires, document: None };
        let (consent, release) = given.to_wire().unwrap();
        assert_eq!(release, None);
        let midnight = 1_806_537_600; // 2027-04-01T00:00:00Z
        assert_eq!(consent.expire_time.unwrap().seconds, midnight);
        assert!(holds(&consent, midnight * 1000 - 1) && !holds(&consent, midnight * 1000));
        let expected = ["  consent      Jane Doe, by contract 114, until 2027-03-31", "  licence      this film"];
        assert_eq!(lines(&consent), expected);
    }
}
