//! What keeps a box busy beside Snova: a scene being drawn without a pause, and a browser with a moving page.
//!
//! Without chromium only the scene is drawn, and that is said.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use snova::app::Places;
use snova::camera::{DEMO_SCENE, FrameSource, Scene, SceneSource};

/// A page that draws all the time, as a till's own page with a film in a corner does.
const PAGE: &str = "data:text/html,<canvas id=c width=800 height=480></canvas><script>const g=c.getContext('2d');\
    let n=0;function draw(){n++;for(let i=0;i<200;i++){g.fillStyle=`hsl(${(n+i)%360},80%25,50%25)`;\
    g.fillRect((i*37+n)%800,(i*53)%480,30,30)}requestAnimationFrame(draw)}draw()</script>";

pub struct Busy {
    stop: Arc<AtomicBool>,
    scene: Option<std::thread::JoinHandle<()>>,
    browser: Option<Child>,
    /// Removed after the browser that uses it.
    _profile: tempfile::TempDir,
}

impl Busy {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let draw = move || {
            let media = Places::media().expect("the sample pictures are installed: run `snova setup`");
            let scene = Scene::parse("the demo scene", DEMO_SCENE, &media).expect("the shipped scene is valid");
            let mut source = SceneSource::new(scene, true);
            while !asked.load(Ordering::Relaxed) {
                source.next().expect("a scene does not fail");
            }
        };
        let scene = std::thread::Builder::new().name("scene".into()).spawn(draw).expect("a thread");
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut chromium = Command::new("chromium");
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
        chromium.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        chromium.arg("--remote-debugging-port=0").arg(format!("--user-data-dir={}", profile.path().display()));
        let browser = chromium.arg(PAGE).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
        if browser.is_none() {
            println!("no chromium here: the busy box draws a scene only");
        }
        std::thread::sleep(std::time::Duration::from_secs(3));
        Self { stop, scene: Some(scene), browser, _profile: profile }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(scene) = self.scene.take() {
            let _ = scene.join();
        }
        if let Some(mut browser) = self.browser.take() {
            let _ = browser.kill();
            let _ = browser.wait();
        }
    }
}
