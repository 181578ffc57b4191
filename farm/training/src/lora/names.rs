//! A layer's names in files.
//!
//! kohya joins everything with underscores, which cannot be taken apart again; so names are made from the model's layers and
//! looked up, and what is not found is unknown. SDXL's UNet has in kohya's files the names of its first publication ("SGM"):
//! <https://github.com/Stability-AI/generative-models>.

use greenroom_diffusion::{Part, Place, Site};
use std::collections::HashMap;

use super::is_xl;

/// Every name under which a file may speak of a layer, without the ending that tells the factor.
pub(super) struct Names<'a> {
    of: HashMap<String, &'a Site>,
}

impl<'a> Names<'a> {
    pub(super) fn new(sites: &'a [Site]) -> Self {
        let levels = resnets(sites);
        let mut of = HashMap::new();
        for site in sites {
            let Place { part, path } = &site.place;
            // Newer files leave the text encoder's outer name out.
            let short = path.strip_prefix("text_model.").unwrap_or(path);
            for path in [path.as_str(), short] {
                of.insert(format!("{part}.{path}"), site);
                of.insert(format!("base_model.model.{part}.{path}"), site);
                for outer in kohya_prefixes(*part) {
                    of.insert(format!("{outer}{}", path.replace('.', "_")), site);
                }
            }
            if let (Part::Unet, Some(sgm)) = (part, sgm(path, levels)) {
                of.insert(format!("lora_unet_{}", sgm.replace('.', "_")), site);
            }
        }
        Self { of }
    }

    /// The layer that a name means.
    pub(super) fn find(&self, name: &str) -> Option<&'a Site> {
        if let Some(site) = self.of.get(name) {
            return Some(site);
        }
        // diffusers once named the processor, and the projection's adapter with an underscore.
        let (outer, to) = name.split_once(".processor.")?;
        let to = to.strip_suffix("_lora").unwrap_or(to);
        let to = if to == "to_out" { "to_out.0" } else { to };
        self.of.get(&format!("{outer}.{to}")).copied()
    }
}

/// A layer's name as kohya writes it.
pub(super) fn kohya(place: &Place, sites: &[Site]) -> String {
    let xl = is_xl(sites);
    let path = match place.part {
        Part::Unet if xl => sgm(&place.path, resnets(sites)).unwrap_or_else(|| place.path.clone()),
        _ => place.path.clone(),
    };
    let outer = match place.part {
        Part::Unet => "lora_unet_",
        Part::Text if !xl => "lora_te_",
        Part::Text => "lora_te1_",
        Part::Text2 => "lora_te2_",
    };
    format!("{outer}{}", path.replace('.', "_"))
}

fn kohya_prefixes(part: Part) -> &'static [&'static str] {
    match part {
        Part::Unet => &["lora_unet_"],
        Part::Text => &["lora_te_", "lora_te1_"],
        Part::Text2 => &["lora_te2_"],
    }
}

/// Residual blocks at each level of the way down.
fn resnets(sites: &[Site]) -> usize {
    let paths = sites.iter().filter(|site| site.place.part == Part::Unet).map(|site| &site.place.path);
    paths.filter(|path| path.starts_with("down_blocks.0.resnets.") && path.ends_with(".conv1")).count()
}

/// The name of a UNet's layer in the first publication, for `levels` residual blocks at each level.
fn sgm(path: &str, levels: usize) -> Option<String> {
    if let Some((_, theirs)) = OUTER.iter().find(|(ours, _)| *ours == path) {
        return Some((*theirs).into());
    }
    let (block, rest) = path.split_once('.')?;
    if block == "mid_block" {
        let (kind, rest) = rest.split_once('.')?;
        let (at, rest) = rest.split_once('.')?;
        let at = if kind == "attentions" { 1 } else { 2 * at.parse::<usize>().ok()? };
        return Some(format!("middle_block.{at}.{}", inner(kind, rest)?));
    }
    let (level, rest) = rest.split_once('.')?;
    let (kind, rest) = rest.split_once('.')?;
    let (at, rest) = rest.split_once('.')?;
    let (level, at): (usize, usize) = (level.parse().ok()?, at.parse().ok()?);
    let first = level * (levels + 1);
    let beside = usize::from(kind == "attentions");
    match (block, kind) {
        ("down_blocks", "downsamplers") => Some(format!("input_blocks.{}.0.op", first + levels + 1)),
        ("down_blocks", _) => Some(format!("input_blocks.{}.{beside}.{}", first + at + 1, inner(kind, rest)?)),
        // SDXL's two growing blocks have attention, after which it comes third.
        ("up_blocks", "upsamplers") => Some(format!("output_blocks.{}.2.conv", first + levels)),
        ("up_blocks", _) => Some(format!("output_blocks.{}.{beside}.{}", first + at, inner(kind, rest)?)),
        _ => None,
    }
}

fn inner(kind: &str, rest: &str) -> Option<String> {
    if kind == "attentions" {
        return Some(rest.into());
    }
    RESNET.iter().find(|(ours, _)| *ours == rest).map(|(_, theirs)| (*theirs).into())
}

const OUTER: &[(&str, &str)] = &[
    ("conv_in", "input_blocks.0.0"),
    ("conv_out", "out.2"),
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
];

const RESNET: &[(&str, &str)] = &[
    ("conv1", "in_layers.2"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
];

#[cfg(test)]
mod tests {
    use super::sgm;

    #[test]
    fn the_layers_of_sdxl_have_the_names_of_its_first_publication() {
        for (ours, theirs) in [
            (
                "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k",
                "input_blocks.4.1.transformer_blocks.0.attn1.to_k",
            ),
            ("down_blocks.2.attentions.1.proj_in", "input_blocks.8.1.proj_in"),
            ("down_blocks.0.downsamplers.0.conv", "input_blocks.3.0.op"),
            ("down_blocks.1.resnets.0.conv_shortcut", "input_blocks.4.0.skip_connection"),
            ("mid_block.attentions.0.proj_out", "middle_block.1.proj_out"),
            ("mid_block.resnets.1.conv2", "middle_block.2.out_layers.3"),
            ("up_blocks.0.attentions.2.proj_in", "output_blocks.2.1.proj_in"),
            ("up_blocks.1.resnets.0.time_emb_proj", "output_blocks.3.0.emb_layers.1"),
            ("up_blocks.1.upsamplers.0.conv", "output_blocks.5.2.conv"),
        ] {
            assert_eq!(sgm(ours, 2).as_deref(), Some(theirs));
        }
        assert_eq!(sgm("somewhere.else", 2), None);
    }
}
