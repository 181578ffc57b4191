//! CLIP's tokenizer: lower case, words split off by a pattern, byte-pair merges with `</w>` at a word's end; start and end
//! tokens around it, padded to a fixed length. Built from `vocab.json` and `merges.txt` as transformers builds it.

use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers, replace::ReplacePattern};
use tokenizers::pre_tokenizers::{byte_level::ByteLevel, sequence::Sequence, split::Split, split::SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::config::Config;
use crate::{GenerateError, LoadError};

/// What a piece of text is: a special token, an English ending, a word, one digit, or signs.
const PIECE: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Text → token ids.
pub(crate) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    length: usize,
    start: u32,
    end: u32,
    pad: u32,
    /// Words that were added, by the id that the tokenizer gives them: the ids that stand for each.
    added: BTreeMap<u32, Vec<u32>>,
}

impl Tokenizer {
    /// Reads a `tokenizer` folder for a text encoder that takes `longest` tokens and knows `vocabulary` ids.
    pub(crate) fn open(folder: &Path, longest: usize, vocabulary: usize) -> Result<Self, LoadError> {
        let config = Config::open(&folder.join("tokenizer_config.json"))?;
        let length = config.count_or("model_max_length", longest)?;
        if length > longest || length < 2 {
            let problem = format!("is {length}, the text encoder takes 2 to {longest}");
            return Err(config.error("model_max_length", problem));
        }
        config.require("do_lower_case", &true.into())?;
        let inner = build(folder)?;
        let file = folder.join("vocab.json");
        if inner.get_vocab_size(true) > vocabulary {
            let problem = format!("{} tokens, the text encoder knows {vocabulary}", inner.get_vocab_size(true));
            return Err(LoadError::Tokenizer { file, problem });
        }
        let id = |field: &str, default: &str| {
            let name = special(&config, field, default)?;
            inner
                .token_to_id(&name)
                .filter(|&id| (id as usize) < vocabulary)
                .ok_or_else(|| config.error(field, format!("is `{name}`, which {} does not have", file.display())))
        };
        let (start, end) = (id("bos_token", START)?, id("eos_token", END)?);
        let pad = id("pad_token", END)?;
        Ok(Self { inner, length, start, end, pad, added: BTreeMap::new() })
    }

    /// Start token, at most `length − 2` tokens of the text, end token, padding.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, GenerateError> {
        let problem = |e: tokenizers::Error| GenerateError::Prompt { problem: e.to_string() };
        let encoding = self.inner.encode(text, false).map_err(problem)?;
        let stands_for = |id: &u32| self.added.get(id).cloned().unwrap_or_else(|| vec![*id]);
        let text = encoding.get_ids().iter().flat_map(stands_for).take(self.length - 2);
        let mut ids: Vec<u32> = std::iter::once(self.start).chain(text).chain([self.end]).collect();
        ids.resize(self.length, self.pad);
        Ok(ids)
    }
}

impl Tokenizer {
    /// From now on a word stands for these ids. False where the word is known already.
    pub(crate) fn add(&mut self, word: &str, ids: Vec<u32>) -> bool {
        if word.trim().is_empty() || self.inner.token_to_id(word).is_some() {
            return false;
        }
        let added = AddedToken::from(word, false).normalized(true);
        if self.inner.add_tokens([added]).is_err() {
            return false;
        }
        match self.inner.token_to_id(word) {
            Some(id) => self.added.insert(id, ids).is_none(),
            None => false,
        }
    }
}

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

fn build(folder: &Path) -> Result<tokenizers::Tokenizer, LoadError> {
    let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
    for file in [&vocab, &merges] {
        std::fs::File::open(file).map_err(|source| LoadError::Read { file: file.clone(), source })?;
    }
    let problem = |e: tokenizers::Error| LoadError::Tokenizer { file: folder.into(), problem: e.to_string() };
    let bpe = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix("</w>".into())
        .unk_token(END.into())
        .build()
        .map_err(problem)?;
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(problem)?;
    let split =
        Split::new(SplitPattern::Regex(PIECE.into()), SplitDelimiterBehavior::Removed, true).map_err(problem)?;
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    tokenizer
        .with_normalizer(Some(Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()])))
        .map_err(problem)?
        .with_pre_tokenizer(Some(Sequence::new(vec![split.into(), ByteLevel::new(false, true, true).into()])));
    let added = [START, END].map(|name| AddedToken::from(name, true));
    tokenizer.add_special_tokens(added).map_err(problem)?;
    Ok(tokenizer)
}

/// A special token's text: given as such or as an object with `content`.
fn special(config: &Config, field: &str, default: &str) -> Result<String, LoadError> {
    match config.get(field) {
        None => Ok(default.into()),
        Some(value) => value
            .as_str()
            .or_else(|| value.get("content").and_then(|v| v.as_str()))
            .map(Into::into)
            .ok_or_else(|| config.error(field, format!("is {value}, expected a token"))),
    }
}
