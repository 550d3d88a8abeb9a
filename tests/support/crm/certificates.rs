//! Certificates for this machine, each signed by an authority of its own: for the fakes' socket, and for servers not ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A fresh certificate for this machine with its key, and the certificate of who signed it.
fn issued() -> (rcgen::Certificate, rcgen::KeyPair, String) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL in its strict mode, as Python has it since 3.13, wants both of these said.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, "CA of Snova's tests");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &ca).unwrap();
    (certificate, key, ca.pem())
}

/// A server's configuration, and the certificate of who signed its own.
pub fn certificates() -> (rustls::ServerConfig, String) {
    let (certificate, key, ca) = issued();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (config, ca)
}

/// Files of a certificate for a server that is not ours.
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Writes a certificate, its key and `ca.pem` into `dir`.
pub fn certificate_files(dir: &Path) -> CertificateFiles {
    let (certificate, key, ca) = issued();
    let files = CertificateFiles { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
    std::fs::write(&files.certificate, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    std::fs::write(dir.join("ca.pem"), ca).unwrap();
    files
}
