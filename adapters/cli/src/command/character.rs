//! `greenroom character`

use clap::{Args, Subcommand};
use greenroom_domain::{Digest, Problem, ProblemKind};
use greenroom_proto::v1;
use std::path::{Path, PathBuf};

use super::{Context, Ended, steps};
use crate::{
    cast::{self, CastMember},
    connection::{Farm, from_wire},
    consent::{self, ConsentArgs},
    download,
    failure::Outcome,
    json,
    names::{self, ProjectName},
};

mod forget;

/// Make, show and forget characters: actors with reference pictures and an identity profile.
#[derive(Args, Debug)]
pub(crate) struct Character {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a character from pictures of its face, or a new revision of one
    Create {
        /// Project it belongs to
        project: ProjectName,
        /// As the script writes it
        name: String,
        /// One or more pictures with exactly one face each (png, jpg, jpeg, webp)
        #[arg(required = true)]
        pictures: Vec<PathBuf>,
        /// How the character looks, in prose
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// The pictures show somebody who lives: consent and licence are needed
        #[arg(long)]
        real_person: bool,
        #[command(flatten)]
        consent: ConsentArgs,
        /// Save the best reference's face here (png)
        #[arg(long, value_name = "FILE")]
        thumbnail: Option<PathBuf>,
    },
    /// Forget a character for good, and prove it
    Forget(forget::Forget),
    /// Name every character of a project
    List {
        /// Which project
        project: ProjectName,
    },
    /// Show one character: its references, their quality and its base prompt
    Show {
        /// Which project
        project: ProjectName,
        /// Which character
        name: String,
        /// Save the best reference's face here (png)
        #[arg(long, value_name = "FILE")]
        thumbnail: Option<PathBuf>,
    },
}

impl Character {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let output = &context.output;
        let (character, thumbnail) = match &self.what {
            What::Create { project, name, pictures, description, real_person, consent, thumbnail } => {
                let (real_person, consent) = (*real_person, consent.given());
                let member = CastMember { real_person, consent, ..member(name, description, pictures)? };
                let made = steps::create_character(&farm, output, project, &member).await?;
                (steps::profiled(&farm, output, made).await?, thumbnail)
            }
            What::Show { project, name, thumbnail } => {
                let name = format!("{project}/characters/{}", name.to_uppercase());
                match farm.characters().get_character(v1::GetCharacterRequest { name }).await {
                    Ok(character) => (character.into_inner(), thumbnail),
                    Err(status) => return Err(farm.problem(status).await.into()),
                }
            }
            What::Forget(forget) => return forget.run(&farm, output).await,
            What::List { project } => {
                let request = v1::ListCharactersRequest { parent: project.to_string() };
                let list = match farm.characters().list_characters(request).await {
                    Ok(list) => list.into_inner().characters,
                    Err(status) => return Err(farm.problem(status).await.into()),
                };
                let lines = list.iter().map(line).collect::<Vec<_>>();
                output.answer(&list.iter().map(json::character).collect(), &lines);
                return Ok(Outcome::Complete);
            }
        };
        let (mut document, mut lines) = (json::character(&character), lines(&character));
        if let Some(path) = thumbnail {
            save_thumbnail(&farm, &character, path).await?;
            document["thumbnail"] = path.display().to_string().into();
            lines.push(format!("  thumbnail    {}", path.display()));
        }
        output.answer(&document, &lines);
        Ok(Outcome::Complete)
    }
}

/// One line: `MARA: 2 faces found, quality 0.90 0.55, profile ready`.
pub(super) fn line(character: &v1::Character) -> String {
    let name = names::last(&character.name);
    match &character.problem {
        Some(problem) => format!("{name}: refused: {}", from_wire(problem)),
        None => {
            let state = json::character_state(character);
            format!("{name}: {}{}, profile {state}{}", faces(character), quality(character), consent::line(character))
        }
    }
}

/// Everything: what was found, how good each reference is, and the prompt.
fn lines(character: &v1::Character) -> Vec<String> {
    let mut lines = vec![format!("{} (revision {})", line(character), character.revision)];
    if character.references.iter().any(|reference| reference.quality.is_some()) {
        lines.push("  reference           detection   face   yaw  sharpness  weight  agreement".to_owned());
    }
    for v1::Reference { file_name, quality, .. } in &character.references {
        let name = console::truncate_str(file_name, 18, "…");
        lines.push(quality.as_ref().map_or_else(
            || format!("  {file_name}"),
            |q| {
                let agreement = q.agreement.map_or_else(|| "–".to_owned(), |agreement| format!("{agreement:.2}"));
                let (detection, size, yaw, sharpness, weight) = (q.detection, q.face_size, q.yaw, q.sharpness, q.weight);
                format!(
                    "  {name:<20}{detection:>8.2} {size:>5.0}px {yaw:>5.2} {sharpness:>10.0} {weight:>7.2} {agreement:>10}"
                )
            },
        ));
    }
    lines.extend(calibration(character));
    let prompt = if character.description.is_empty() { "(none)" } else { &character.description };
    lines.push(format!("  base prompt  {prompt}"));
    lines.extend(character.consent.iter().flat_map(consent::lines));
    lines
}

/// `calibration 2 (puppet 4): IDR 0.50 at cosine 0.51, …`, and what it was made from; or why there is none.
fn calibration(character: &v1::Character) -> Vec<String> {
    let Some(own) = &character.calibration else {
        let why = &character.uncalibrated;
        return if why.is_empty() { vec![] } else { vec![format!("  uncalibrated: {why}")] };
    };
    let between = own.anchors.iter().filter(|anchor| (0.01..0.99).contains(&anchor.idr));
    let anchors: Vec<_> = between.map(|a| format!("{:.2} at cosine {:.3}", a.idr, a.cosine)).collect();
    let others = match own.others {
        0 => String::new(),
        others => format!(", {others} of them of other characters"),
    };
    vec![
        format!("  calibration {} ({}): IDR {}", own.number, own.pack, anchors.join(", ")),
        format!("    from {} genuine and {} impostor cosines{others}", own.genuine, own.impostors),
    ]
}

fn faces(character: &v1::Character) -> String {
    let found = character.references.iter().filter(|reference| reference.quality.is_some()).count();
    let pictures = character.references.len();
    match (found, pictures) {
        (0, 1) => "1 picture".to_owned(),
        (0, _) => format!("{pictures} pictures"),
        (1, _) => "1 face found".to_owned(),
        _ => format!("{found} faces found"),
    }
}

/// The weight of each reference in the profile: `, quality 0.90 0.55`.
fn quality(character: &v1::Character) -> String {
    let weights = character.references.iter().filter_map(|reference| Some(reference.quality.as_ref()?.weight));
    let weights = weights.map(|weight| format!(" {weight:.2}")).collect::<String>();
    if weights.is_empty() { weights } else { format!(", quality{weights}") }
}

fn member(name: &str, description: &str, pictures: &[PathBuf]) -> Result<CastMember, Problem> {
    if let Some(other) = pictures.iter().find(|picture| !cast::is_picture(picture)) {
        let remedy = "give pictures as png, jpg, jpeg or webp";
        let subject = other.display().to_string();
        return Err(Problem::invalid("read picture", subject, "not a picture that can be read", remedy));
    }
    let (name, description) = (name.to_uppercase(), description.to_owned());
    Ok(CastMember { name, description, pictures: pictures.to_vec(), real_person: false, consent: None })
}

async fn save_thumbnail(farm: &Farm, character: &v1::Character, path: &Path) -> Result<(), Problem> {
    let name = names::last(&character.name);
    let digest = character.thumbnail_digest.parse::<Digest>().map_err(|_| {
        let remedy = "wait until its profile is ready";
        Problem::new(ProblemKind::Unavailable, "save thumbnail", name, "there is none yet", remedy)
    })?;
    download::save(farm, &digest, path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_shown_with_the_quality_of_each_reference() {
        let quality = |weight, agreement| v1::ReferenceQuality {
            detection: 0.991,
            face_size: 64.4,
            yaw: -0.12,
            sharpness: 812.0,
            weight,
            agreement,
        };
        let reference = |name: &str, quality| v1::Reference { file_name: name.into(), quality, ..Default::default() };
        let character = v1::Character {
            name: "projects/lab/characters/MARA".into(),
            revision: 2,
            description: "A woman with blue hair.".into(),
            references: vec![
                reference("1.png", Some(quality(0.9, Some(0.87)))),
                reference("2.png", Some(quality(0.55, None))),
            ],
            state: v1::character::State::Ready.into(),
            uncalibrated: "2 references, five are needed".into(),
            ..Default::default()
        };
        let expected = "\
MARA: 2 faces found, quality 0.90 0.55, profile ready (revision 2)
  reference           detection   face   yaw  sharpness  weight  agreement
  1.png                   0.99    64px -0.12        812    0.90       0.87
  2.png                   0.99    64px -0.12        812    0.55          –
  uncalibrated: 2 references, five are needed
  base prompt  A woman with blue hair.";
        assert_eq!(lines(&character).join("\n"), expected);
    }

    #[test]
    fn a_calibration_is_shown_with_its_anchors_and_what_it_was_made_from() {
        let anchors = [(-0.01, 0.0), (0.512, 0.5), (0.6432, 0.75), (0.871, 0.85), (1.0, 1.0)];
        let own = v1::Calibration {
            number: 2,
            pack: "puppet 4".into(),
            anchors: anchors.map(|(cosine, idr)| v1::calibration::Anchor { cosine, idr }).into(),
            genuine: 5,
            impostors: 1029,
            others: 5,
            ..Default::default()
        };
        let expected =
            "  calibration 2 (puppet 4): IDR 0.50 at cosine 0.512, 0.75 at cosine 0.643, 0.85 at cosine 0.871
    from 5 genuine and 1029 impostor cosines, 5 of them of other characters";
        let character = v1::Character { calibration: Some(own), ..Default::default() };
        assert_eq!(calibration(&character).join("\n"), expected);
    }

    #[test]
    fn a_file_that_is_no_picture_is_refused_before_anything_is_called() {
        let problem = member("mara", "", &["1.png".into(), "notes.txt".into()]).unwrap_err();
        assert_eq!(problem.to_string(), "read picture: notes.txt: not a picture that can be read");
    }
}
