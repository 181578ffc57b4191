//! The sizes of a UNet's way down, from a `config.json`.

use crate::LoadError;
use crate::blocks::Norms;
use crate::config::Config;

/// The sizes of a UNet's way down, checked.
pub(crate) struct Sizes {
    /// Channels of the latent.
    pub(crate) channels: usize,
    /// Channels that go in: those of the latent, and what else such a model sees beside it.
    pub(crate) inputs: usize,
    /// Width of the text's vectors.
    pub(crate) context: usize,
    /// Channels at each level of resolution.
    pub(crate) widths: Vec<usize>,
    /// Residual blocks at each level.
    pub(crate) resnets: Vec<usize>,
    pub(super) transformers: Vec<usize>,
    pub(super) heads: Vec<usize>,
    pub(super) attends: Vec<bool>,
    pub(super) mid_attends: bool,
    pub(super) linear: bool,
    pub(super) cosine_first: bool,
    pub(super) frequency_shift: f64,
    pub(super) norms: Norms,
    /// What is told beside the time, if anything.
    pub(crate) added: Option<Added>,
}

/// Sizes of what SDXL is told beside the time: the whole text in one vector, and six numbers about the picture's size.
#[derive(Clone, Copy)]
pub(crate) struct Added {
    /// Width of each number's waves.
    pub(super) waves: usize,
    /// Width of all of it together.
    pub(super) input: usize,
    /// Of that, the text's vector.
    pub(crate) pooled: usize,
}

/// Numbers about the size: height and width of the picture it was, top and left of the crop, height and width asked for.
pub(crate) const SIZES: usize = 6;

impl Sizes {
    /// Reads the configuration of a model of this class, and refuses what is not built.
    pub(crate) fn read(config: &Config, class: &str) -> Result<Self, LoadError> {
        config.require("_class_name", &class.into())?;
        for (field, only) in UNSUPPORTED {
            config.require(field, &serde_json::from_str(only).unwrap_or_default())?;
        }
        let widths = config.counts("block_out_channels")?;
        let blocks = widths.len();
        let inputs = config.count("in_channels")?;
        let this = Self {
            // A ControlNet gives no latent, so it has no such field.
            channels: config.count_or("out_channels", inputs)?,
            inputs,
            context: config.count("cross_attention_dim")?,
            resnets: config.per_block("layers_per_block", blocks, 2)?,
            transformers: config.per_block("transformer_layers_per_block", blocks, 1)?,
            // What diffusers calls the heads' size here is their number.
            heads: config.per_block("attention_head_dim", blocks, 8)?,
            attends: attends(config, "down_block_types", blocks, "CrossAttnDownBlock2D", "DownBlock2D")?,
            mid_attends: match config.text_or("mid_block_type", "UNetMidBlock2DCrossAttn")? {
                "UNetMidBlock2DCrossAttn" => true,
                "UNetMidBlock2D" => false,
                other => {
                    let problem = format!("is `{other}`; `UNetMidBlock2DCrossAttn` and `UNetMidBlock2D` are supported");
                    return Err(config.error("mid_block_type", problem));
                }
            },
            linear: config.flag_or("use_linear_projection", false)?,
            cosine_first: config.flag_or("flip_sin_to_cos", true)?,
            frequency_shift: config.number_or("freq_shift", 0.0)?,
            norms: Norms { groups: config.count_or("norm_num_groups", 32)?, eps: config.number_or("norm_eps", 1e-5)? },
            added: added(config, class)?,
            widths,
        };
        this.check(config)?;
        Ok(this)
    }

    /// Channels of what the way up will see, in the order in which the way down leaves it.
    pub(crate) fn skips(&self) -> Vec<usize> {
        let mut skips = vec![self.widths[0]];
        for (level, &width) in self.widths.iter().enumerate() {
            let halved = usize::from(level + 1 < self.blocks());
            skips.extend(std::iter::repeat_n(width, self.resnets[level] + halved));
        }
        skips
    }

    fn check(&self, config: &Config) -> Result<(), LoadError> {
        for (&width, &heads) in self.widths.iter().zip(&self.heads) {
            if !width.is_multiple_of(self.norms.groups) {
                let problem = format!("is {}, which does not divide {width} channels", self.norms.groups);
                return Err(config.error("norm_num_groups", problem));
            }
            if !width.is_multiple_of(heads) {
                let problem = format!("asks for {heads} heads, which do not divide {width} channels");
                return Err(config.error("attention_head_dim", problem));
            }
            if !width.is_multiple_of(2) {
                return Err(config.error("block_out_channels", format!("holds {width}, expected even numbers")));
            }
        }
        Ok(())
    }

    /// Levels of resolution.
    pub(crate) fn blocks(&self) -> usize {
        self.widths.len()
    }

    /// Width of an embedded time.
    pub(super) fn time_width(&self) -> usize {
        4 * self.widths[0]
    }
}

/// What is told beside the time.
fn added(config: &Config, class: &str) -> Result<Option<Added>, LoadError> {
    if class != "UNet2DConditionModel" {
        config.require("addition_embed_type", &serde_json::Value::Null)?;
    }
    match config.text_or("addition_embed_type", "")? {
        "" => Ok(None),
        "text_time" => {
            let waves = config.count("addition_time_embed_dim")?;
            let input = config.count("projection_class_embeddings_input_dim")?;
            let field = "projection_class_embeddings_input_dim";
            let pooled = input.checked_sub(SIZES * waves).filter(|&n| n > 0 && waves.is_multiple_of(2));
            let problem = || config.error(field, format!("is {input}, too little for six numbers of width {waves}"));
            Ok(Some(Added { waves, input, pooled: pooled.ok_or_else(problem)? }))
        }
        other => Err(config.error("addition_embed_type", format!("is `{other}`; `text_time` is supported"))),
    }
}

/// Which levels have cross-attentions.
pub(super) fn attends(
    config: &Config,
    field: &str,
    blocks: usize,
    with: &str,
    without: &str,
) -> Result<Vec<bool>, LoadError> {
    let types = config.texts(field)?;
    if types.len() != blocks {
        return Err(config.error(field, format!("has {} entries for {blocks} blocks", types.len())));
    }
    let attends = |name: &&str| match *name {
        name if name == with => Ok(true),
        name if name == without => Ok(false),
        other => Err(config.error(field, format!("holds `{other}`; `{with}` and `{without}` are supported"))),
    };
    types.iter().map(attends).collect()
}

/// Fields that change the network in ways that Stable Diffusion 1, 2 and XL do not use, and the one value (JSON) that is built.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("act_fn", "\"silu\""),
    ("time_embedding_type", "\"positional\""),
    ("resnet_time_scale_shift", "\"default\""),
    ("attention_type", "\"default\""),
    ("center_input_sample", "false"),
    ("class_embeddings_concat", "false"),
    ("dual_cross_attention", "false"),
    ("only_cross_attention", "false"),
    ("mid_block_only_cross_attention", "false"),
    ("resnet_skip_time_act", "false"),
    ("conv_in_kernel", "3"),
    ("conv_out_kernel", "3"),
    ("downsample_padding", "1"),
    ("mid_block_scale_factor", "1"),
    ("resnet_out_scale_factor", "1"),
    ("class_embed_type", "null"),
    ("cross_attention_norm", "null"),
    ("encoder_hid_dim", "null"),
    ("encoder_hid_dim_type", "null"),
    ("num_attention_heads", "null"),
    ("num_class_embeds", "null"),
    ("reverse_transformer_layers_per_block", "null"),
    ("time_cond_proj_dim", "null"),
    ("time_embedding_act_fn", "null"),
    ("time_embedding_dim", "null"),
    ("timestep_post_act", "null"),
];
