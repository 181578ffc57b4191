//! What models run on: the best execution provider that the loaded library has, in how many threads, how exactly.

use ort::{
    ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProvider as _, ExecutionProviderDispatch},
    session::{Session, builder::SessionBuilder},
};

use crate::{RuntimeError, runtime};

/// How many threads a model may use, and whether it must be exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// Threads of one run; at least one.
    pub threads: usize,
    /// What may be given up for speed.
    pub precision: Precision,
}

/// What an embedder may give up for speed. Detectors give up nothing: their scores decide at a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    Exact,
    /// bfloat16 inside, where library and processor have it and the model bears it: embeddings keep a cosine of 0.9999 to the
    /// exact ones, tried out when the model is opened. Half the time on processors that multiply it.
    Fast,
}

impl From<usize> for Compute {
    fn from(threads: usize) -> Self {
        Self { threads, precision: Precision::Exact }
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// A GPU of NVIDIA's, in single precision without the shortened one that tensor cores offer.
    Cuda,
    /// OpenVINO's kernels for the CPU.
    OpenVino,
    /// ONNX Runtime's own.
    Cpu,
}

impl Provider {
    /// What the loaded library was built with, best first; the CPU is always there.
    pub(crate) fn available() -> Vec<Self> {
        let built_with = |provider: &Self| match provider {
            Self::Cuda => ep::CUDA::is_available().unwrap_or(false),
            Self::OpenVino => ep::OpenVINO::is_available().unwrap_or(false),
            Self::Cpu => true,
        };
        [Self::Cuda, Self::OpenVino, Self::Cpu].into_iter().filter(built_with).collect()
    }

    /// How many pictures to look at before their faces are embedded together: more keep a GPU busy, and gain nothing on a CPU.
    pub(crate) const fn pictures_together(self) -> usize {
        match self {
            Self::Cuda => 8,
            Self::OpenVino | Self::Cpu => 2,
        }
    }

    /// Whether [`Precision::Fast`] changes anything.
    pub(crate) const fn has_fast(self) -> bool {
        matches!(self, Self::OpenVino)
    }

    /// Settings with which equal inputs give equal outputs. Worker threads sleep instead of spinning, so that several models
    /// share few cores.
    pub(crate) fn session(self, compute: Compute) -> Result<SessionBuilder, Refused> {
        let threads = compute.threads.max(1);
        let mut builder = Session::builder(runtime::environment()?)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_deterministic_compute(true)?;
        if let Some(provider) = self.dispatch(threads, compute.precision) {
            builder = builder.with_execution_providers([provider.error_on_failure()])?;
        }
        Ok(builder)
    }

    fn dispatch(self, threads: usize, precision: Precision) -> Option<ExecutionProviderDispatch> {
        match self {
            Self::Cuda => Some(ep::CUDA::default().with_tf32(false).build()),
            Self::OpenVino => {
                let precision = match precision {
                    Precision::Exact => "f32",
                    Precision::Fast => "bf16",
                };
                // Pinned, the one thread of every lane's models would stand on the same core.
                let config = format!(
                    r#"{{"CPU":{{"INFERENCE_PRECISION_HINT":"{precision}","INFERENCE_NUM_THREADS":"{threads}","NUM_STREAMS":"1","ENABLE_CPU_PINNING":"NO"}}}}"#
                );
                let provider = ep::OpenVINO::default().with_device_type("CPU");
                Some(provider.with_arbitrary_config("load_config", config).build())
            }
            Self::Cpu => None,
        }
    }
}

/// Why no session could be made.
pub(crate) enum Refused {
    Runtime(RuntimeError),
    Ort(String),
}

impl From<RuntimeError> for Refused {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

impl<T> From<ort::Error<T>> for Refused {
    fn from(error: ort::Error<T>) -> Self {
        Self::Ort(error.to_string())
    }
}
