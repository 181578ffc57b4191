//! Which of the model files of a folder are the pack's detector and embedder.

use greenroom_domain::{OnnxKind, Problem};
use std::path::{Path, PathBuf};

/// The two that a pack needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The face detector.
    pub(crate) detector: PathBuf,
    /// Width and height of its input, none where it takes any.
    pub(crate) detector_input: Option<(u32, u32)>,
    /// The face embedder.
    pub(crate) embedder: PathBuf,
    /// How many numbers its embeddings have.
    pub(crate) length: usize,
    /// Side of the face that it takes, pixels.
    pub(crate) size: u32,
    /// Whether it is given values from 0 to 255.
    pub(crate) raw: bool,
}

const STEP: &str = "choose models";

/// One detector with landmarks and one embedder, or what is wrong with the folder.
pub(crate) fn choose(folder: &Path, files: &[(PathBuf, OnnxKind)]) -> Result<Chosen, Problem> {
    if let Some(problem) =
        files.iter().find_map(|(_, kind)| if let OnnxKind::Broken { problem } = kind { Some(problem) } else { None })
    {
        let remedy = format!("take the models of {} from their release again", folder.display());
        return Err(Problem { remedy, ..problem.clone() });
    }
    let is_detector = |kind: &OnnxKind| matches!(kind, OnnxKind::Detector { landmarks: true, .. });
    let is_embedder = |kind: &OnnxKind| matches!(kind, OnnxKind::Embedder { .. });
    let (detector, seen) = only(folder, files, "face detector with landmarks", is_detector)?;
    let (embedder, embeds) = only(folder, files, "face embedder", is_embedder)?;
    match (seen, embeds) {
        (&OnnxKind::Detector { input, .. }, &OnnxKind::Embedder { size, length, raw }) => {
            Ok(Chosen { detector, detector_input: input, embedder, length, size, raw })
        }
        _ => unreachable!("chosen by their kinds above"),
    }
}

fn only<'a>(
    folder: &Path,
    files: &'a [(PathBuf, OnnxKind)],
    what: &str,
    fits: impl Fn(&OnnxKind) -> bool,
) -> Result<(PathBuf, &'a OnnxKind), Problem> {
    let wrong = |cause: String, remedy: String| Problem::invalid(STEP, folder.display().to_string(), cause, remedy);
    let fitting: Vec<_> = files.iter().filter(|(_, kind)| fits(kind)).collect();
    match fitting.as_slice() {
        [(file, kind)] => Ok((file.clone(), kind)),
        [] => {
            let others = files.iter().map(|(file, kind)| format!("{} is {}", name(file), described(kind)));
            let cause = format!("there is no {what}: {}", others.collect::<Vec<_>>().join("; "));
            Err(wrong(cause, "name a folder with both, such as InsightFace's buffalo_l".into()))
        }
        many => {
            let names = many.iter().map(|(file, _)| name(file)).collect::<Vec<_>>().join(" and ");
            let cause = format!("it has more than one {what}: {names}");
            Err(wrong(cause, "leave one of them in the folder, or copy the two models that you mean to another".into()))
        }
    }
}

fn described(kind: &OnnxKind) -> String {
    match kind {
        OnnxKind::Detector { landmarks: true, .. } => "a face detector".into(),
        OnnxKind::Detector { landmarks: false, .. } => {
            "a face detector without landmarks, which cannot be followed by an embedder".into()
        }
        OnnxKind::Embedder { size, length, .. } => {
            format!("a face embedder ({length} numbers from {size}×{size} pixels)")
        }
        OnnxKind::Other { what } => what.clone(),
        OnnxKind::Broken { problem } => problem.cause.clone(),
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETECTOR: OnnxKind = OnnxKind::Detector { input: None, landmarks: true };
    const EMBEDDER: OnnxKind = OnnxKind::Embedder { size: 112, length: 512, raw: false };

    fn of(kinds: &[OnnxKind]) -> Result<Chosen, Problem> {
        let files = kinds.iter().enumerate().map(|(i, kind)| (format!("faces/{i}.onnx").into(), kind.clone()));
        choose(Path::new("faces"), &files.collect::<Vec<_>>())
    }

    fn other() -> OnnxKind {
        OnnxKind::Other { what: "a model of face landmarks (192×192 pixels)".into() }
    }

    #[test]
    fn what_a_pack_does_not_need_is_left_alone() {
        let chosen = of(&[other(), EMBEDDER, DETECTOR, other()]).unwrap();
        assert_eq!((chosen.detector, chosen.embedder), ("faces/2.onnx".into(), "faces/1.onnx".into()));
        assert_eq!((chosen.length, chosen.size, chosen.raw), (512, 112, false));
    }

    #[test]
    fn each_thing_that_is_wrong_is_one_sentence() {
        let cause = |kinds: &[OnnxKind]| of(kinds).unwrap_err().to_string();
        assert_eq!(
            cause(&[EMBEDDER, other()]),
            "choose models: faces: there is no face detector with landmarks: 0.onnx is a face embedder (512 numbers from \
             112×112 pixels); 1.onnx is a model of face landmarks (192×192 pixels)"
        );
        let boxes = OnnxKind::Detector { input: None, landmarks: false };
        assert!(cause(&[boxes, EMBEDDER]).contains("0.onnx is a face detector without landmarks"));
        assert!(cause(&[DETECTOR, other()]).starts_with("choose models: faces: there is no face embedder: 0.onnx is"));
        assert_eq!(
            cause(&[DETECTOR, EMBEDDER, DETECTOR]),
            "choose models: faces: it has more than one face detector with landmarks: 0.onnx and 2.onnx"
        );
        assert!(cause(&[EMBEDDER, DETECTOR, EMBEDDER]).ends_with("more than one face embedder: 0.onnx and 2.onnx"));
        let problem = Problem::invalid("open model", "faces/1.onnx", "it ends too early", "x");
        assert_eq!(
            cause(&[DETECTOR, OnnxKind::Broken { problem }, EMBEDDER]),
            "open model: faces/1.onnx: it ends too early"
        );
    }
}
