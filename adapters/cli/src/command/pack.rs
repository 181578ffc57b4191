//! `greenroom pack`

use clap::{Args, Subcommand};
use greenroom_domain::{ModelFile, Problem};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use super::{Context, Ended};
use crate::{
    failure::{Failure, Outcome},
    packs::{self, Folder},
};

/// Make and show packs: folders of models that a farm works with.
#[derive(Args, Debug)]
pub(crate) struct Pack {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a pack from face models that you have, such as InsightFace's buffalo_l
    ///
    /// Detector and embedder are told by their inputs and outputs, tried out, and copied with the generator of another pack.
    /// InsightFace's models are for non-commercial research: see its model zoo, and --licence for models of others.
    Add(Add),
    /// Name the packs of this machine
    List {
        /// The folder of packs [default: greenroom/packs in $XDG_DATA_HOME or ~/.local/share]
        #[arg(long = "in", value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Show a pack, and whether its files are what its pack.toml says
    Show {
        /// A pack's folder, or the name of one that was added [default: $GREENROOM_PACK]
        pack: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// A folder with a face detector and a face embedder as .onnx files; others are left alone
    models: PathBuf,
    /// Where the pack's folder is made [default: greenroom/packs in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// The pack's name: letters, digits, dots, dashes and underscores [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// The pack whose generator and vocabulary are taken [default: $GREENROOM_PACK]
    #[arg(long, value_name = "DIR")]
    generator: Option<PathBuf>,
    /// The terms of the face models
    #[arg(long, default_value = INSIGHTFACE, value_name = "TEXT")]
    licence: String,
    /// Keep the generator's IP-Adapter: it was trained with this very embedder
    #[arg(long)]
    keep_adapter: bool,
}

/// What <https://github.com/deepinsight/insightface> says of all its models, under "License" of the model zoo.
const INSIGHTFACE: &str = "InsightFace models: non-commercial research use only";

impl Pack {
    /// Makes, or looks.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        match &self.what {
            What::Add(add) => add.run(context).await,
            What::List { folder } => list(context, folder.as_deref()),
            What::Show { pack } => show(context, pack.as_deref()),
        }
    }
}

impl Add {
    async fn run(&self, context: &Context) -> Ended {
        let name = self.name()?;
        let generator = Folder::open(&generator(context, self.generator.as_deref())?)?;
        let into = self.into.clone().map_or_else(|| packs::home(&context.environment), Ok)?;
        let found = packs::look(&self.models, &context.environment).await?;
        let chosen = packs::choose(&self.models, &found)?;
        let (size, length) = (chosen.size, chosen.length);
        let how = (self.licence.as_str(), self.keep_adapter);
        let made = packs::make(&generator, chosen, (&into, &name), how, &context.output).await?;
        let mut warnings = Vec::new();
        if self.licence == INSIGHTFACE {
            warnings
                .push("these weights are for non-commercial research only; --licence records other terms".to_owned());
        }
        if made.adapter_left_out {
            warnings.push(format!(
                "the IP-Adapter of {} was trained with another embedder and is left out: faces follow the caption alone",
                generator.pack.name
            ));
        }
        warnings.iter().for_each(|warning| context.output.warning(warning));
        let mut document = document(&made.folder);
        document["warnings"] = json!(warnings);
        let mut lines = lines(&made.folder, |_| String::new());
        lines.push(format!("  embeddings  {length} numbers from {size}×{size} pixels"));
        lines.push(format!("use it with --pack {0}, or GREENROOM_PACK={0}", made.folder.path.display()));
        context.output.answer(&document, &lines);
        Ok(Outcome::Complete)
    }

    fn name(&self) -> Result<String, Problem> {
        let of_folder = || {
            let whole = self.models.canonicalize().ok()?;
            Some(whole.file_name()?.to_string_lossy().into_owned())
        };
        let name = self.name.clone().or_else(of_folder).unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Ok(name);
        }
        let subject = self.models.display().to_string();
        let cause = format!("`{name}` is no name for a pack");
        Err(Problem::invalid("name pack", subject, cause, "give one of letters, digits, dots and dashes with --name"))
    }
}

fn generator(context: &Context, named: Option<&Path>) -> Result<PathBuf, Problem> {
    named.map(Path::to_owned).or_else(|| context.environment.pack.clone()).ok_or_else(|| {
        let cause = "no pack is named that has one";
        Problem::invalid("read pack", "generator", cause, "name a pack with --generator, or set GREENROOM_PACK")
    })
}

fn list(context: &Context, named: Option<&Path>) -> Ended {
    let home = named.map_or_else(|| packs::home(&context.environment), |folder| Ok(folder.to_owned()))?;
    let mut folders = match home.read_dir() {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Vec::new(),
        Err(error) => {
            let subject = home.display().to_string();
            return Err(
                Problem::invalid("list packs", subject, error, "name a folder that can be read with --in").into()
            );
        }
    };
    folders.retain(|folder| folder.join("pack.toml").is_file());
    folders.extend(context.environment.pack.clone());
    folders.sort();
    folders.dedup();
    let (mut documents, mut told) = (Vec::new(), Vec::new());
    for path in folders {
        match Folder::open(&path) {
            Ok(folder) => {
                told.push(format!("{:<20} {}", title(&folder), path.display()));
                documents.push(document(&folder));
            }
            Err(problem) => {
                told.push(format!("{:<20} {}", "cannot be used", path.display()));
                documents.push(json!({"folder": path.display().to_string(), "error": crate::json::problem(&problem)}));
            }
        }
    }
    context.output.answer(&Value::Array(documents), &told);
    Ok(Outcome::Complete)
}

fn show(context: &Context, named: Option<&Path>) -> Ended {
    let path = match named {
        Some(named) if !named.join("pack.toml").is_file() && named.components().count() == 1 => {
            packs::home(&context.environment)?.join(named)
        }
        named => generator(context, named)?,
    };
    let folder = Folder::open(&path)?;
    let faults: Vec<Option<String>> = folder.pack.model.iter().map(|file| fault(&path, file)).collect();
    let mut document = document(&folder);
    for (file, fault) in faults.iter().enumerate() {
        document["files"][file]["fault"] = json!(fault);
    }
    let of = |at: usize| faults[at].as_ref().map(|fault| format!("  {fault}")).unwrap_or_default();
    context.output.answer(&document, &lines(&folder, of));
    match faults.iter().position(Option::is_some) {
        None => Ok(Outcome::Complete),
        Some(at) => {
            let subject = path.join(&folder.pack.model[at].file).display().to_string();
            let cause = faults[at].clone().unwrap_or_default();
            Err(Failure::from(Problem::invalid("check pack", subject, cause, "restore the pack from where it came")))
        }
    }
}

/// What is wrong with a file, if anything.
fn fault(folder: &Path, file: &ModelFile) -> Option<String> {
    match packs::digest(&folder.join(&file.file)) {
        Ok((_, size)) if size != file.size => Some(format!("it has {size} bytes, pack.toml says {}", file.size)),
        Ok((digest, _)) if digest != file.sha256 => Some(format!("its SHA-256 is {digest}, not pack.toml's")),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

fn title(folder: &Folder) -> String {
    format!("{} {}", folder.pack.name, folder.pack.version)
}

fn document(folder: &Folder) -> Value {
    let pack = &folder.pack;
    json!({
        "name": pack.name, "version": pack.version, "folder": folder.path.display().to_string(), "licence": pack.licence,
        "digest": pack.digest().to_string(), "identity": pack.identity, "files": pack.model,
    })
}

/// A pack for people, each file followed by what `beside` says of it.
fn lines(folder: &Folder, beside: impl Fn(usize) -> String) -> Vec<String> {
    let pack = &folder.pack;
    let mut lines = vec![title(folder), format!("  folder      {}", folder.path.display())];
    lines.push(format!("  licence     {}", pack.licence));
    lines.push(format!("  calibration {}", pack.identity.calibration.name));
    for (at, file) in pack.model.iter().enumerate() {
        let licence = file.licence.as_ref().map(|licence| format!("  {licence}")).unwrap_or_default();
        let digest = file.sha256.to_string();
        lines.push(format!("  {} {:>11}  {}{licence}{}", &digest[..12], file.size, file.file, beside(at)));
    }
    lines
}
