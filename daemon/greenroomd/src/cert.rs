//! `greenroomd cert`: an authority of the farm's own and a certificate by it. A farm inside a studio has no public name, so no
//! public authority certifies it.

use clap::Parser;
use greenroom_domain::Problem;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};
use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::clock;

const STEP: &str = "make certificate";

/// The authority outlives its certificates.
const AUTHORITY_DAYS: u32 = 3650;

/// Make a certificate for this farm: ca.pem for callers and workers (--ca), farm.pem and farm.key for the daemon.
///
/// An authority that is in the folder already is used again, so that callers keep the ca.pem that they have. Keep ca.key where
/// nobody gets at it: whoever has it can pose as the farm.
#[derive(Debug, Parser)]
#[command(name = "greenroomd cert", version, max_term_width = 100)]
pub(crate) struct Cert {
    /// Where the files are put.
    folder: PathBuf,
    /// A name or an address by which the farm is called; once for each. localhost and 127.0.0.1 are always among them.
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// How long the certificate holds.
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

impl Cert {
    /// Makes the files.
    pub(crate) fn run(&self) -> Result<(), Problem> {
        make(&self.folder, &self.name, self.days)?;
        let names = ["farm.pem", "farm.key", "ca.pem"].map(|name| self.folder.join(name).display().to_string());
        tracing::info!(tls_cert = names[0], tls_key = names[1], ca = names[2], "made");
        Ok(())
    }
}

/// Makes `farm.pem` and `farm.key`, and `ca.pem` and `ca.key` where they are not there.
pub(crate) fn make(folder: &Path, names: &[String], days: u32) -> Result<(), Problem> {
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let authority = authority(folder)?;
    let key = KeyPair::generate().map_err(|e| failed(folder, e))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = called("Greenroom farm");
    params.subject_alt_names =
        [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)].map(SanType::IpAddress).to_vec();
    for name in names.iter().map(String::as_str).chain(["localhost"]) {
        params.subject_alt_names.push(alternative(name)?);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    validity(&mut params, days);
    let signed = params.signed_by(&key, &authority).map_err(|e| failed(folder, e))?;
    write(&folder.join("farm.pem"), &signed.pem(), 0o644)?;
    write(&folder.join("farm.key"), &key.serialize_pem(), 0o600)
}

fn authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, Problem> {
    let [pem, key] = ["ca.pem", "ca.key"].map(|name| folder.join(name));
    if pem.exists() || key.exists() {
        let read = |path: &Path| fs::read_to_string(path).map_err(|e| failed(path, e));
        let pair = KeyPair::from_pem(&read(&key)?).map_err(|e| failed(&key, e))?;
        return Issuer::from_ca_cert_pem(&read(&pem)?, pair).map_err(|e| failed(&pem, e));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = called("Greenroom farm authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, AUTHORITY_DAYS);
    let pair = KeyPair::generate().map_err(|e| failed(folder, e))?;
    write(&key, &pair.serialize_pem(), 0o600)?;
    let made = CertifiedIssuer::self_signed(params, pair).map_err(|e| failed(&pem, e))?;
    write(&pem, &made.pem(), 0o644)?;
    authority(folder)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn alternative(name: &str) -> Result<SanType, Problem> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-*".contains(c);
    let ascii = Ia5String::try_from(name).ok().filter(|_| !name.is_empty() && name.chars().all(plain));
    let refuse = || Problem::invalid(STEP, name, "it is no host name and no address", "write it as in farm.studio.lan");
    ascii.map(SanType::DnsName).ok_or_else(refuse)
}

/// From yesterday on, because clocks of a farm differ.
fn validity(params: &mut CertificateParams, days: u32) {
    let date = |days: i64| {
        let (year, month, day) = clock::date(days);
        rcgen::date_time_ymd(year, month, day)
    };
    params.not_before = date(-1);
    params.not_after = date(i64::from(days) + 1);
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Problem> {
    // A new file, so that a key never lies a moment in one that others may read.
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|e| failed(path, e))
}

fn failed(path: &Path, cause: impl std::fmt::Display) -> Problem {
    Problem::invalid(
        STEP,
        path.display().to_string(),
        cause,
        "name a folder that can be written, empty or made by this command",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_second_certificate_is_by_the_same_authority_and_keys_are_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        make(folder.path(), &["farm.lan".into()], 30).unwrap();
        let (authority, first) = (read("ca.pem"), read("farm.pem"));
        make(folder.path(), &["10.0.0.7".into()], 30).unwrap();
        assert_eq!(read("ca.pem"), authority);
        assert_ne!(read("farm.pem"), first);
        for key in ["ca.key", "farm.key"] {
            assert_eq!(fs::metadata(folder.path().join(key)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let problem = make(folder.path(), &["no name".into()], 30).unwrap_err();
        assert_eq!(problem.to_string(), "make certificate: no name: it is no host name and no address");
    }
}
