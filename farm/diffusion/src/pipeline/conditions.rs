//! What steers a picture in every step: texts, identities, and a ControlNet.

use candle_core::Tensor;

use super::{StableDiffusion, Texts, guided};
use crate::attention::Sight;
use crate::control::ControlNet;
use crate::error::Stage;
use crate::unet::{Context, Memories};
use crate::{Control, GenerateError, IdentityTokens, Region, Request};

/// Everything beside the latent that the steps of a run see. It is made once for each picture.
pub(super) struct Conditions<'a> {
    /// (steps, width).
    pub(super) times: Tensor,
    /// What SDXL is told beside the time, (N, width).
    pub(super) added: Option<Tensor>,
    pub(super) context: Context,
    pub(super) steering: Option<Steering<'a>>,
    /// What a UNet for inpainting sees beside the latent: (1, 1 + channels, h, w).
    pub(super) beside: Option<Tensor>,
}

/// A ControlNet at work.
pub(super) struct Steering<'a> {
    pub(super) net: &'a ControlNet,
    /// (1, width, H, W).
    pub(super) picture: Tensor,
    /// (steps, width).
    pub(super) times: Tensor,
    pub(super) memories: Memories,
    pub(super) scale: f64,
}

/// A prompt beside the negative one (N, L, context); identity tokens (N, tokens, context), and how much each row listens.
pub(super) struct Told {
    pub(super) text: Tensor,
    /// Of SDXL, (N, pooled): the texts in one vector each.
    pub(super) pooled: Option<Tensor>,
    pub(super) identity: Option<(Tensor, Tensor)>,
}

impl StableDiffusion {
    /// The cross-attentions see the negative prompt alone, and beside it the prompt with the identity, in each person's
    /// region theirs.
    pub(super) fn conditions<'a>(&self, request: &'a Request, times: &[f32]) -> Result<Conditions<'a>, GenerateError> {
        let told = |prompt: &str, identity: Option<&IdentityTokens>| self.told(request, prompt, identity);
        let base = told(&request.prompt, request.identity.as_ref())?;
        let people = request.people.iter().map(|p| Ok((p.region, told(&p.prompt, p.identity.as_ref())?)));
        let people: Vec<(Region, Told)> = people.collect::<Result<_, GenerateError>>()?;
        let sights: Vec<_> = people.iter().map(|(region, told)| (*region, self.sight(told))).collect();
        let steering = request.control.as_ref().map(|Control { net, picture, scale }| {
            let texts: Vec<_> = people.iter().map(|(region, told)| (*region, &told.text)).collect();
            Ok(Steering {
                net,
                picture: net.embed(picture, &self.device)?,
                times: net.embed_times(times, &self.device)?,
                memories: net.memories(&base.text, &texts)?,
                scale: f64::from(*scale),
            })
        });
        let size = [request.height as f32, request.width as f32];
        let sizes = [size[0], size[1], 0.0, 0.0, size[0], size[1]];
        let added = base.pooled.as_ref().map(|pooled| self.unet.embed_added(pooled, &vec![sizes; pooled.dim(0)?]));
        Ok(Conditions {
            added: added.transpose().stage("preparing text and identity")?.flatten(),
            times: self.unet.embed_times(times, &self.device).stage("embedding times")?,
            context: self.unet.context(&self.sight(&base), &sights).stage("preparing text and identity")?,
            steering: steering.transpose().stage("preparing the control")?,
            beside: self.beside(request)?,
        })
    }

    /// The UNet's prediction in a step, guided: away from the negative prompt, towards the prompt (Ho and Salimans 2022,
    /// arXiv:2207.12598). Both halves go through the UNet at once.
    pub(super) fn predict(
        &self,
        latent: &Tensor,
        conditions: &Conditions<'_>,
        step: usize,
        guidance: f32,
    ) -> candle_core::Result<Tensor> {
        let Conditions { times, added, context, steering, beside } = conditions;
        let time = self.unet.told(&times.narrow(0, step, 1)?, added.as_ref())?;
        let seen = |latent: &Tensor| {
            let steered = steering
                .as_ref()
                .map(|s| s.net.forward(latent, &s.picture, &s.times.narrow(0, step, 1)?, &s.memories, s.scale));
            let seen = match beside {
                Some(beside) => &Tensor::cat(&[latent, &beside.repeat((latent.dim(0)?, 1, 1, 1))?], 1)?,
                None => latent,
            };
            self.unet.forward(seen, &time, context, steered.transpose()?.as_ref())
        };
        if !guided(guidance) {
            return seen(latent);
        }
        let both = seen(&Tensor::cat(&[latent, latent], 0)?)?;
        let (without, with) = (both.narrow(0, 0, 1)?, both.narrow(0, 1, 1)?);
        &without + ((with - &without)? * f64::from(guidance))?
    }

    pub(super) fn sight<'a>(&'a self, told: &'a Told) -> Sight<'a> {
        let identity = match (&self.adapter, &told.identity) {
            (Some(adapter), Some((tokens, on))) => adapter.inputs(tokens, on),
            _ => Vec::new(),
        };
        Sight { text: &told.text, identity }
    }

    fn told(&self, request: &Request, prompt: &str, identity: Option<&IdentityTokens>) -> Result<Told, GenerateError> {
        let mut texts = vec![prompt];
        if guided(request.guidance) {
            texts.insert(0, &request.negative);
        }
        let Texts { hidden: text, pooled } = self.encode_texts(&texts)?;
        let Some((adapter, identity)) = self.adapter.as_ref().zip(identity) else {
            return Ok(Told { text, pooled, identity: None });
        };
        let tokens = || {
            let IdentityTokens { embedding, scale } = identity;
            let tokens = adapter.tokens(embedding, &self.device)?.repeat((texts.len(), 1, 1))?;
            let on = if texts.len() == 2 { vec![0.0, *scale] } else { vec![*scale] };
            Ok((tokens, Tensor::from_vec(on, (texts.len(), 1, 1), &self.device)?))
        };
        Ok(Told { text, pooled, identity: Some(tokens().stage("preparing the identity")?) })
    }
}
