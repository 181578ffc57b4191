//! What a worker computes pictures on.

use greenroom_diffusion::Device;
use greenroom_domain::{Problem, ProblemKind};
use std::{fmt, str::FromStr};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A GPU where this build and the machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number among those that the process sees (`CUDA_VISIBLE_DEVICES`).
    Cuda(usize),
}

impl Wanted {
    /// Opens it.
    ///
    /// # Errors
    /// Where a GPU was asked for and this build or the machine has none.
    pub(crate) fn open(self) -> Result<Device, Problem> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(cuda(0).unwrap_or(Device::Cpu)),
            Self::Cuda(number) => cuda(number),
        }
    }

    /// The GPU's number, if one is asked for or would be taken.
    pub(crate) const fn number(self) -> Option<usize> {
        match self {
            Self::Cpu => None,
            Self::Auto => Some(0),
            Self::Cuda(number) => Some(number),
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err("say auto, cpu, cuda or cuda:NUMBER".into()),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Its number among the GPUs that the process sees; none for the CPU.
pub(crate) fn number(device: &Device) -> Option<usize> {
    match device.location() {
        greenroom_diffusion::DeviceLocation::Cuda { gpu_id } => Some(gpu_id),
        _ => None,
    }
}

/// The device's name for people, if it is called so: `cpu (2 threads)`, `cuda:0`.
pub(crate) fn name(called: &str, threads: usize) -> String {
    if called == "cpu" { format!("cpu ({threads} threads)") } else { called.to_owned() }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device, Problem> {
    Device::new_cuda(number).map_err(|error| {
        let remedy = "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or start the worker with --device cpu";
        Problem::new(ProblemKind::Unavailable, "open device", Wanted::Cuda(number).to_string(), error, remedy)
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(number: usize) -> Result<Device, Problem> {
    let cause = "this greenroom-worker was built without CUDA";
    let remedy = "build it with `--features cuda`, or start it with --device cpu";
    Err(Problem::new(ProblemKind::Unavailable, "open device", Wanted::Cuda(number).to_string(), cause, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_they_are_asked_for() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<Wanted>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Wanted::Cuda(0)));
        assert!("gpu".parse::<Wanted>().is_err() && "cuda:x".parse::<Wanted>().is_err());
        assert_eq!((name("cpu", 2), name("cuda:1", 2)), ("cpu (2 threads)".to_owned(), "cuda:1".to_owned()));
        assert_eq!(number(&Wanted::Cpu.open().unwrap()), None);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_is_refused_by_a_build_without_cuda() {
        let problem = Wanted::Cuda(0).open().unwrap_err();
        let told = "open device: cuda:0: this greenroom-worker was built without CUDA";
        assert_eq!((problem.to_string().as_str(), Wanted::Auto.open().unwrap().is_cpu()), (told, true));
    }
}
