use std::path::Path;
use snova::camera::*;
#[test]
fn look() {
    let clock = snova::clock::SystemClock::new();
    use snova::clock::Clock;
    let t0 = clock.monotonic();
    let scene = Scene::open(Path::new(&std::env::var("SCENE").unwrap()), Path::new("models/.cache/media")).unwrap();
    println!("load {:?}", clock.monotonic() - t0);
    let every: usize = std::env::var("EVERY").unwrap().parse().unwrap();
    let mut source = SceneSource::new(scene, false);
    let mut i = 0;
    let mut worst = std::time::Duration::ZERO; let mut total = worst;
    loop {
        let t0 = clock.monotonic();
        let Some(c) = source.next().unwrap() else { break };
        let t = clock.monotonic() - t0; worst = worst.max(t); total += t;
        let snova::face::Pixels::Rgb8(mut im) = c.pixels else { panic!() };
        if i % every == 0 {
            for t in source.scene().truth(c.offset) {
                for x in t.bounds.x1 as i32..t.bounds.x2 as i32 { for y in [t.bounds.y1 as i32, t.bounds.y2 as i32] { if x>=0&&x<640&&y>=0&&y<480 { im.put_pixel(x as u32,y as u32,image::Rgb([0,255,0])); } } }
            }
            im.save(format!("/tmp/cam/out/{i:04}.png")).unwrap(); }
        i += 1;
    }
    println!("{i} frames worst {worst:?} mean {:?}", total / i as u32);
}
