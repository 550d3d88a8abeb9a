//! What tests of the web ask with: a client, raw bytes, a screen's event stream.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use snova::customer::VisitId;

use crate::web_box::{SOON, TestBox};

/// A limit that a test may wait for.
pub const SHORT: Duration = Duration::from_millis(200);

pub fn client() -> reqwest::Client {
    crate::http_client::builder().timeout(SOON).build().unwrap()
}

pub fn get(shop: &TestBox, path: &str) -> RequestBuilder {
    client().get(shop.url(path))
}

pub async fn json_of(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

pub async fn refusal(request: RequestBuilder) -> (StatusCode, String) {
    let (status, body) = json_of(request).await;
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

pub fn answer_to(shop: &TestBox, visit: VisitId, body: &Value) -> RequestBuilder {
    client().post(shop.url(&format!("/api/v1/visits/{visit}/answer"))).json(body)
}

/// Writes `bytes` and gives what comes back until the box closes the connection.
pub async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let bytes = bytes.to_vec();
    let talk = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // The box may close before it has read everything: that is an answer too.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&piece[..read]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(e) => {
                    panic!("the box neither answers nor closes: {e}; so far {}", String::from_utf8_lossy(&answer))
                }
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

pub async fn eventually(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// A screen's event stream.
pub struct Screen {
    bytes: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    held: String,
}

impl Screen {
    pub async fn open(shop: &TestBox, path: &str) -> Self {
        let response = get(shop, path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response.bytes_stream().map(|piece| piece.map(|bytes| bytes.to_vec()));
        Self { bytes: Box::pin(bytes), held: String::new() }
    }

    /// The data of the next event of that kind.
    pub async fn event(&mut self, kind: &str) -> Value {
        loop {
            let text = self.text_until("\n\n").await;
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if field("event:") == Some(kind) {
                return serde_json::from_str(field("data:").unwrap()).unwrap();
            }
        }
    }

    pub async fn text_until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.held.find(end) {
                return self.held.drain(..at + end.len()).collect();
            }
            let piece = self.bytes.next().await.expect("the stream goes on").unwrap();
            self.held.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    pub async fn ended(&mut self) -> bool {
        tokio::time::timeout(SOON, async { while let Some(Ok(_)) = self.bytes.next().await {} }).await.is_ok()
    }
}
