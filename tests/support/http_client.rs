//! What every test's HTTP client begins with: no proxy, and the TLS that reqwest must be told of even where none is
//! spoken.

pub fn builder() -> reqwest::ClientBuilder {
    // Another test of this process may have been first, with the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}
