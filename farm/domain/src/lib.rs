//! The words of the farm as types: ids, units, characters, shots, takes, jobs, tasks, verdicts and events.
//!
//! No async, IO, clock, randomness or globals: time and entropy are arguments.

mod advice;
mod anchor;
mod audit;
mod belongings;
mod calibration;
mod character;
mod command;
mod consent;
mod digest;
mod event;
mod forgotten;
mod id;
mod input;
mod inventory;
mod job;
mod looks;
mod lora;
mod offer;
mod onnx;
mod pack;
mod policy;
mod priority;
mod problem;
mod project;
mod rehearsal;
mod repair;
mod role;
mod scoring;
mod script;
mod span;
mod spec;
mod task;
mod token;
mod units;
mod user;
mod verdict;

pub use advice::advice;
pub use anchor::{Anchor, Misplaced, NONE, asked};
pub use audit::{AuditRow, Deed};
pub use belongings::Named;
pub use calibration::{
    Calibration, CalibrationRevision, CalibrationSummary, CalibrationUsed, CharacterCalibration, Distribution,
    FEWEST_REFERENCES,
};
pub use character::{Character, CharacterState, Reference, ReferenceQuality};
pub use command::{
    AmountRange, AttributeChoice, CommandFile, CommandPlan, CommandSource, CommandSpec, CommandStep, Host,
    HostRequirements, PathFormat, PathRule,
};
pub use consent::{Consent, ConsentDocument};
pub use digest::{Digest, ParseDigestError};
pub use event::{Event, EventBody, EventSeq};
pub use forgotten::{ArtifactKind, Belonging, Fate, Footage, Forgotten};
pub use id::{CharacterId, Entropy, JobId, ParseIdError, ProjectId, TaskId, TokenId, UserId, WorkerId};
pub use input::{Channels, DetectorInput, EmbedderInput};
pub use inventory::{DeviceProcess, Inventory, Reading, Unfit};
pub use job::{Job, JobState, ShotOutcome};
pub use looks::{AnchorScore, Looks, Repeat, StyleScore};
pub use lora::{
    LORA_HALF_FROM, LoraDataset, LoraDefaults, LoraMade, LoraNaming, LoraOrigin, LoraPicture, LoraPrecision, LoraProof,
    LoraRecipe, LoraState, LoraTier, LoraUsed, LoraVersion, LoraViews,
};
pub use offer::{DeviceKind, Misfit, Needs, Offer};
pub use onnx::OnnxKind;
pub use pack::{
    AttributeDefaults, ControlDefaults, DiffusionDefaults, IdentityDefaults, ModelFile, ModelRole, Pack, Slot,
    SlotScope, Vocabulary,
};
pub use policy::{Drained, Limit, LimitPer, Maintenance, Pace, Policy, Reservation, Share};
pub use priority::Priority;
pub use problem::{Problem, ProblemKind};
pub use project::{Project, Settings};
pub use rehearsal::{Rehearsal, mark, rehearse};
pub use repair::{FaceAt, FaceRepair, FigureRemoval, Mendable, RepairDefaults, RepairSpec};
pub use role::Role;
pub use scoring::{Copies, Scoring};
pub use script::{
    Breakdown, CameraMove, Framing, Heading, Line, PersonCaption, Prompt, Scene, Setting, Shot, ShotKey, TimeOfDay,
};
pub use span::{Moment, Span};
pub use spec::{
    AssembleShot, AssembleSpec, CalibrateSpec, CastMember, ClipOutput, CollectSpec, CollectTake, ConvertSpec,
    GenerateSpec, IdentityPrompt, Keyframing, LoraPrompt, Pixels, ProfileSpec, ProveSpec, Spec, TaskOutput, TrainSpec,
    ValidateSpec,
};
pub use task::{Lease, LeaseEpoch, MAX_FAILURES, Task, TaskError, TaskKind, TaskState, TransitionError};
pub use token::{Holder, Lapsed, Token};
pub use units::{Band, Cosine, Fps, Frames, Idr, Seed, Timestamp};
pub use user::User;
pub use verdict::{
    Box2, CharacterScore, Decision, FaceScore, FrameScore, ModelsUsed, Reason, Stranger, Unscored, Verdict,
};
