//! Values whose gradient is told rather than traced: frozen weights on any device, and blocks that are computed again.
//!
//! A product with a frozen matrix needs no gradient of the matrix, but candle's own operation computes it. And a block whose
//! inside is not kept for the way back (Chen et al. 2016, arXiv:1604.06174) is, seen from outside, one operation.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Storage, Tensor, TensorId, Var,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A value computed without a graph becomes `of`'s successor: `pull` turns the value's gradient into that of `of`.
pub(crate) fn linked(
    value: &Tensor,
    of: &Tensor,
    pull: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let given = Given::new(value)?;
    of.apply_op1(Linked { given, pull })
}

/// Blocks that forget their inside and compute it again on the way back, one switch for a network.
#[derive(Default)]
pub(crate) struct Recompute {
    on: AtomicBool,
    /// Gradients of what lies inside the blocks (adapters), found on the way back.
    found: Mutex<Vec<(TensorId, Tensor)>>,
}

impl Recompute {
    /// From now on blocks do, or do not.
    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Takes the gradients that were found inside blocks since the last time, each with its tensor's id.
    pub(crate) fn take(&self) -> Vec<(TensorId, Tensor)> {
        std::mem::take(&mut *self.found())
    }

    /// Runs a block of three inputs, which is kept whole or computed again as the switch says.
    pub(crate) fn run(
        self: &std::sync::Arc<Self>,
        inputs: [&Tensor; 3],
        block: impl Fn([&Tensor; 3]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        if !self.on.load(Ordering::Relaxed) {
            return block(inputs);
        }
        let [a, b, c] = inputs.map(Tensor::detach);
        let given = Given::new(&block([&a, &b, &c])?)?;
        drop((a, b, c));
        // A leaf inside the block asks for a gradient even where no input does, so the inputs are made to ask.
        let [a, b, c] = inputs;
        let a = if a.track_op() { a.clone() } else { Var::from_tensor(a)?.into_inner() };
        a.apply_op3(b, c, Again { given, block, home: self.clone() })
    }

    fn found(&self) -> MutexGuard<'_, Vec<(TensorId, Tensor)>> {
        // Gradients are appended whole, so what a panicking thread left is whole too.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that an operation hands over when it first runs.
struct Given(Mutex<Option<Tensor>>);

impl Given {
    fn new(value: &Tensor) -> Result<Self> {
        Ok(Self(Mutex::new(Some(value.detach().contiguous()?))))
    }

    fn take(&self) -> Result<Tensor> {
        let value = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or_else(|| candle_core::Error::Msg("a linked value was asked for twice".into()))
    }

    fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        let value = self.take()?;
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => candle_core::bail!("a linked value lies on another device"),
        }
    }

    fn cuda(&self) -> Result<(CudaStorage, Shape)> {
        let value = self.take()?;
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => candle_core::bail!("a linked value lies on another device"),
        }
    }
}

struct Linked<F> {
    given: Given,
    pull: F,
}

impl<F: Fn(&Tensor) -> Result<Tensor>> CustomOp1 for Linked<F> {
    fn name(&self) -> &'static str {
        "linked"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.given.cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.given.cuda()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.pull)(grad).map(Some)
    }
}

struct Again<F> {
    given: Given,
    block: F,
    home: std::sync::Arc<Recompute>,
}

impl<F: Fn([&Tensor; 3]) -> Result<Tensor>> CustomOp3 for Again<F> {
    fn name(&self) -> &'static str {
        "again"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.given.cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.given.cuda()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let leaf = |t: &Tensor| if t.track_op() { Var::from_tensor(t).map(Var::into_inner) } else { Ok(t.detach()) };
        let (leaf_a, leaf_b, leaf_c) = (leaf(a)?, leaf(b)?, leaf(c)?);
        let out = (self.block)([&leaf_a, &leaf_b, &leaf_c])?;
        let mut gradients = pulled(&out, grad)?;
        let [for_a, for_b, for_c] = [(a, leaf_a), (b, leaf_b), (c, leaf_c)]
            .map(|(outer, leaf)| gradients.remove(&leaf).filter(|_| outer.track_op()));
        let ids: Vec<TensorId> = gradients.get_ids().copied().collect();
        let inside = ids.into_iter().filter_map(|id| gradients.get_id(id).map(|g| (id, g.clone())));
        self.home.found().extend(inside);
        Ok((for_a, for_b, for_c))
    }
}

/// The gradients of everything behind `out` whose own gradient is given.
fn pulled(out: &Tensor, grad: &Tensor) -> Result<candle_core::backprop::GradStore> {
    out.apply_op1(Seed(grad.detach()))?.backward()
}

/// A root whose operand's gradient is given.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
