//! Where artifacts are kept: a folder that every machine of the farm sees, or a bucket.

use object_store::{
    RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    prefix::PrefixStore,
};
use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use crate::{ArtifactError, ArtifactStore, Result};

/// A request to a bucket is tried again for so long; tasks that still fail are tried again by the farm.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where artifacts are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder(PathBuf),
    /// S3, or what speaks like it.
    Bucket {
        /// Its name.
        bucket: String,
        /// What every key begins with; mostly empty.
        prefix: String,
    },
}

impl Place {
    /// Opens it. `settings` are pairs of AWS's names and values, as environment variables have them: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` …; others are passed over. A folder needs none.
    ///
    /// # Errors
    /// If the folder cannot be made or opened, or the settings contradict each other. A bucket is not asked for anything yet.
    pub fn open(&self, settings: impl IntoIterator<Item = (String, String)>) -> Result<ArtifactStore> {
        const STEP: &str = "open artifact bucket";
        let (bucket, prefix) = match self {
            Self::Folder(folder) => return ArtifactStore::local(folder),
            Self::Bucket { bucket, prefix } => (bucket, prefix),
        };
        // One that is there already will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let known = |(name, value): (String, String)| {
            let key: AmazonS3ConfigKey = name.to_lowercase().parse().ok()?;
            name.to_lowercase().starts_with("aws_").then_some((key, value))
        };
        let builder = AmazonS3Builder::new().with_bucket_name(bucket);
        let builder = builder.with_retry(RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() });
        let settings = settings.into_iter().filter_map(known);
        let builder = settings.fold(builder, |builder, (key, value)| builder.with_config(key, value));
        let store = builder.build().map_err(|source| ArtifactError::Store { step: STEP, source })?;
        Ok(if prefix.is_empty() {
            ArtifactStore::remote(Arc::new(store))
        } else {
            ArtifactStore::remote(Arc::new(PrefixStore::new(store, prefix.as_str())))
        })
    }
}

impl FromStr for Place {
    type Err = String;

    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`; everything else is a folder.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.split_once("://") {
                Some((scheme, _)) => Err(format!("{scheme}:// is not spoken; name a folder, or s3://BUCKET/PREFIX")),
                None if text.is_empty() => Err("name a folder, or s3://BUCKET/PREFIX".into()),
                None => Ok(Self::Folder(text.into())),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("name a bucket: s3://BUCKET/PREFIX".into());
        }
        Ok(Self::Bucket { bucket: bucket.into(), prefix: prefix.trim_matches('/').into() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_they_are_read() {
        for text in ["/srv/artifacts", "s3://film", "s3://film/farm/artifacts"] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(text.to_owned()));
        }
        assert!("s3://".parse::<Place>().is_err());
        assert!("gs://film".parse::<Place>().unwrap_err().contains("gs:// is not spoken"));
    }
}
