//! The pack.toml of a pack made from an existing one and other face models.

use greenroom_domain::{Digest, ModelRole, Pack, Problem};
use toml::{Table, Value};

use super::{Chosen, Folder};

/// The face models as they lie in the new pack.
#[derive(Clone, Debug)]
pub(crate) struct FaceModels {
    /// What was found out of them.
    pub(crate) chosen: Chosen,
    /// Path, SHA-256 and size of the detector.
    pub(crate) detector: (String, Digest, u64),
    /// Path, SHA-256 and size of the embedder.
    pub(crate) embedder: (String, Digest, u64),
    /// The terms of both.
    pub(crate) licence: String,
}

/// InsightFace's detectors take any size; this is the one that their figures are for.
const DETECT_SIZE: u32 = 640;
/// A face with fewer points than this is often none, and one with fewer pixels says little to an embedder of 112 pixels.
const DETECT_SCORE: f64 = 0.65;
const SMALLEST_FACE: f64 = 64.0;

const HEADER: &str = "\
# Written by `greenroom pack add`: the generator of another pack with face models of your own.
# The calibration is a first one, for networks trained as ArcFace is: a stranger in a thousand passes 0.28, two photographs
# of one person have 0.46 in the median.
";

/// Writes pack.toml: `generator` without its face models, and without its IP-Adapter unless `adapter`, with these.
pub(crate) fn compose(generator: &Folder, name: &str, models: &FaceModels, adapter: bool) -> Result<String, Problem> {
    let wrong = |cause: String| Problem::invalid("write pack", name, cause, "name another pack with --generator");
    let mut pack: Table = generator.text.parse().map_err(|e: toml::de::Error| wrong(e.to_string()))?;
    pack.insert("name".into(), name.into());
    pack.insert("version".into(), 1_i64.into());
    let entry = |role: &str, (file, digest, size): &(String, Digest, u64)| {
        let size = i64::try_from(*size).unwrap_or(i64::MAX).into();
        let (file, digest, licence) = (file.as_str().into(), digest.to_string().into(), models.licence.as_str().into());
        Value::Table(table([
            ("role", role.into()),
            ("file", file),
            ("sha256", digest),
            ("size", size),
            ("licence", licence),
        ]))
    };
    if let Some(files) = pack.get_mut("model").and_then(Value::as_array_mut) {
        files.retain(|file| file.get("role").and_then(Value::as_str).is_none_or(|role| stays(role, adapter)));
        files.extend([entry("detector", &models.detector), entry("embedder", &models.embedder)]);
    }
    if let Some(identity) = pack.get_mut("identity").and_then(Value::as_table_mut) {
        let side = models.chosen.detector_input.map_or(DETECT_SIZE, |(width, height)| width.max(height));
        identity.remove("detector");
        identity.remove("embedder");
        identity.insert("detect_size".into(), side.into());
        identity.insert("detect_score".into(), DETECT_SCORE.into());
        identity.insert("smallest_face".into(), SMALLEST_FACE.into());
        identity.insert("calibration".into(), calibration(name).into());
        if models.chosen.raw {
            let input = table([("mean", vec![0.0; 3].into()), ("std", vec![1.0; 3].into())]);
            identity.insert("embedder".into(), input.into());
        }
    }
    let text = toml::to_string(&pack).map_err(|error| wrong(error.to_string()))?;
    let text = format!("{HEADER}{text}");
    Pack::parse(&text, "pack.toml").map(|_| text)
}

/// Which of the generator's files the new pack has too.
pub(crate) fn stays_in(role: ModelRole, adapter: bool) -> bool {
    match role {
        // Strangers are embedded by the embedder that goes.
        ModelRole::Detector | ModelRole::Embedder | ModelRole::Impostors => false,
        ModelRole::IpAdapter => adapter,
        _ => true,
    }
}

fn stays(role: &str, adapter: bool) -> bool {
    Value::from(role).try_into().is_ok_and(|role| stays_in(role, adapter))
}

/// FAR 1 % → 0.50, FAR 0.1 % → 0.75, median of two photographs of one person → 0.85.
fn calibration(name: &str) -> Table {
    let anchors = [[0.0, 0.0], [0.2, 0.5], [0.28, 0.75], [0.46, 0.85], [1.0, 1.0]];
    let anchors: Vec<Value> = anchors.iter().map(|pair| pair.to_vec().into()).collect();
    table([("name", format!("{name}-1").into()), ("anchors", anchors.into())])
}

fn table<const N: usize>(fields: [(&str, Value); N]) -> Table {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: &str = include_str!("../../../../packaging/packs/puppet/pack.toml");

    fn composed(raw: bool, adapter: bool) -> Pack {
        let generator = Folder { path: "puppet".into(), text: PACK.into(), pack: Pack::parse(PACK, "p").unwrap() };
        let (size, length) = (112, 512);
        let chosen = Chosen { detector: "d".into(), detector_input: None, embedder: "e".into(), length, size, raw };
        let file = |name: &str| (format!("identity/{name}"), Digest::of(name.as_bytes()), 7);
        let licence = "research only".into();
        let models = FaceModels { chosen, detector: file("det.onnx"), embedder: file("rec.onnx"), licence };
        Pack::parse(&compose(&generator, "mine", &models, adapter).unwrap(), "pack.toml").unwrap()
    }

    #[test]
    fn the_generator_stays_as_it_is_and_the_face_models_are_the_new_ones() {
        let (old, new) = (Pack::parse(PACK, "p").unwrap(), composed(false, true));
        assert_eq!((new.name.as_str(), new.version), ("mine", 1));
        assert_eq!((&new.diffusion, &new.vocabulary), (&old.diffusion, &old.vocabulary));
        let of = |pack: &Pack, role| pack.files(role).cloned().collect::<Vec<_>>();
        assert_eq!(of(&new, ModelRole::Unet), of(&old, ModelRole::Unet));
        assert_eq!(of(&new, ModelRole::IpAdapter), of(&old, ModelRole::IpAdapter));
        let [detector] = of(&new, ModelRole::Detector).try_into().unwrap();
        assert_eq!((detector.file.as_str(), detector.size), ("identity/det.onnx", 7));
        assert_eq!((detector.sha256, detector.licence), (Digest::of(b"det.onnx"), Some("research only".into())));
        assert_eq!(new.identity.detect_size, DETECT_SIZE);
        assert!(new.identity.detector.is_default() && new.identity.embedder.is_default());
        assert_eq!(new.identity.calibration.name, "mine-1");
    }

    #[test]
    fn an_adapter_for_another_embedder_is_left_out_and_a_normalisation_inside_the_model_is_not_done_twice() {
        let pack = composed(true, false);
        assert_eq!(pack.files(ModelRole::IpAdapter).count(), 0);
        assert_eq!((pack.identity.embedder.mean, pack.identity.embedder.std), ([0.0; 3], [1.0; 3]));
    }
}
