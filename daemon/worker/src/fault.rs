//! Why a task could not be done, and whether another attempt may help.

use greenroom_artifacts::ArtifactError;
use greenroom_diffusion::{AdapterError, GenerateError, LoadError};
use greenroom_domain::{Problem, ProblemKind, TaskError};
use greenroom_identity::{ImpostorsError, ModelError, ProfileError, RuntimeError};
use greenroom_media::MediaError;
use greenroom_training::{dataset::DatasetError, lora::LoraError, train::TrainError};

/// Why a task could not be done.
#[derive(Debug)]
pub(crate) struct Fault(pub TaskError);

impl Fault {
    /// Another attempt meets the same.
    pub(crate) const fn for_good(problem: Problem) -> Self {
        Self(TaskError { problem, retry: false })
    }

    /// Another attempt may do better.
    pub(crate) const fn for_now(problem: Problem) -> Self {
        Self(TaskError { problem, retry: true })
    }

    /// The daemon wants it no more. It knows, so the words are for the log.
    pub(crate) fn cancelled() -> Self {
        Self::for_now(Problem::new(ProblemKind::Conflict, "run task", "task", "it was cancelled", "push again"))
    }

    fn of(problem: Problem) -> Self {
        let retry = matches!(problem.kind, ProblemKind::Unavailable);
        Self(TaskError { problem, retry })
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::for_good(problem)
    }
}

impl From<ArtifactError> for Fault {
    fn from(error: ArtifactError) -> Self {
        match &error {
            ArtifactError::Missing { .. } | ArtifactError::Corrupt { .. } => Self::for_good(error.problem()),
            _ => Self::of(error.problem()),
        }
    }
}

impl From<MediaError> for Fault {
    fn from(error: MediaError) -> Self {
        Self::of(error.problem())
    }
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        Self::for_good(error.problem())
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        Self::for_good(error.problem())
    }
}

impl From<ProfileError> for Fault {
    fn from(error: ProfileError) -> Self {
        let remedy = "give other reference pictures of the character";
        Self::for_good(Problem::invalid("profile character", "references", error, remedy))
    }
}

impl From<ImpostorsError> for Fault {
    fn from(error: ImpostorsError) -> Self {
        Self::for_good(error.problem())
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        let remedy = "restore the pack from its release";
        Self::for_good(Problem::new(ProblemKind::Unavailable, "load models", "diffusion", error, remedy))
    }
}

impl From<GenerateError> for Fault {
    fn from(error: GenerateError) -> Self {
        if matches!(error, GenerateError::Cancelled) {
            return Self::cancelled();
        }
        let remedy = "check the project's settings against the pack, or report this as a bug";
        Self::for_good(Problem::new(ProblemKind::Internal, "generate picture", "diffusion", error, remedy))
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        let remedy = "check the disk that holds the worker's scratch folder";
        Self::for_now(Problem::new(ProblemKind::Unavailable, "use scratch folder", "disk", error, remedy))
    }
}

impl From<image::ImageError> for Fault {
    fn from(error: image::ImageError) -> Self {
        Self::for_good(Problem::new(ProblemKind::Internal, "write picture", "PNG", error, "report this as a bug"))
    }
}

impl From<LoraError> for Fault {
    fn from(error: LoraError) -> Self {
        let remedy = "put another version in force with `greenroom lora deploy`, or train a new one";
        Self::for_good(Problem::new(ProblemKind::Invalid, "read LoRA", "adapter", error, remedy))
    }
}

impl From<AdapterError> for Fault {
    fn from(error: AdapterError) -> Self {
        let remedy = "put another version in force with `greenroom lora deploy`, or train a new one";
        Self::for_good(Problem::new(ProblemKind::Invalid, "put on LoRA", "adapter", error, remedy))
    }
}

impl From<DatasetError> for Fault {
    fn from(error: DatasetError) -> Self {
        Self::for_good(Problem::invalid("train LoRA", "dataset", error, "give more references of the character"))
    }
}

impl From<TrainError> for Fault {
    fn from(error: TrainError) -> Self {
        match &error {
            TrainError::Store { .. } => {
                let remedy = "make room on the disk that holds the worker's scratch folder";
                Self::for_now(Problem::new(ProblemKind::Unavailable, "train LoRA", "checkpoint", error, remedy))
            }
            TrainError::NotFinite { .. } | TrainError::Memory { .. } => {
                let remedy = "choose a lower tier, or change the recipe in the pack";
                Self::for_good(Problem::new(ProblemKind::Conflict, "train LoRA", "training", error, remedy))
            }
            _ => {
                let remedy = "check the pack's recipe, or report this as a bug";
                Self::for_good(Problem::new(ProblemKind::Internal, "train LoRA", "training", error, remedy))
            }
        }
    }
}
