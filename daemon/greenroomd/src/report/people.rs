//! The people behind the cast: what they allow, and who has been forgotten since.

use greenroom_domain::{Consent, Forgotten, Project};
use maud::{Markup, html};
use serde::Serialize;

use super::CastUsed;
use crate::{clock, farm::Farm, ledger::LedgerError};

/// A consent in a report.
#[derive(Debug, Serialize)]
pub(super) struct ConsentUsed {
    subject: String,
    licence: String,
    /// Its last day; none: until it is withdrawn.
    expires: Option<String>,
    /// It holds no more.
    expired: bool,
}

/// Adds what is true now: a report is read off the ledger when it is asked for.
pub(super) async fn add(farm: &Farm, project: &Project, cast: &mut [CastUsed]) -> Result<(), LedgerError> {
    let stones = farm.store.forgotten(project.id).await?;
    let characters = farm.store.characters(project.id).await?;
    let stands_for = |stone: &Forgotten, member: &CastUsed| {
        (0..stone.belongings.len()).any(|n| Forgotten::stand_in(stone.character, n) == member.profile)
    };
    for member in cast {
        if let Some(stone) = stones.iter().find(|stone| stands_for(stone, member)) {
            member.forgotten = Some(clock::day(stone.at));
        } else if let Some(character) = characters.iter().find(|c| c.name == member.character) {
            member.consent = character.consent.as_ref().map(used);
        }
    }
    Ok(())
}

/// The page's part on them; nothing where nobody of the cast lives.
pub(super) fn section(cast: &[CastUsed]) -> Markup {
    html! {
        @if cast.iter().any(|member| member.consent.is_some() || member.forgotten.is_some()) {
            section {
                h2 { "Real people" }
                @for member in cast {
                    @if let Some(day) = &member.forgotten {
                        p { (member.character) " has been forgotten, on " (day) ". What was filmed of it is the production's to keep or to remove." }
                    }
                    @if let Some(consent) = &member.consent {
                        p {
                            b { (member.character) } ": " (consent.subject) ", "
                            @match &consent.expires { Some(day) => { "until " (day) } None => "until withdrawn" }
                            @if consent.expired { " " span.chip.fail { "expired" } }
                            ". Licence: " (consent.licence)
                        }
                    }
                }
            }
        }
    }
}

fn used(consent: &Consent) -> ConsentUsed {
    ConsentUsed {
        subject: consent.subject.clone(),
        licence: consent.licence.clone(),
        expires: consent.expires.map(clock::last_day),
        expired: !consent.holds(clock::now()),
    }
}
