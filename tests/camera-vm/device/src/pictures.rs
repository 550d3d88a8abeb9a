//! The camera's pictures: greys that tell which picture it is, a little noisy so that a JPEG has its usual size.
//!
//! When they are sent is not here: see `device.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// The greys, one a picture in turn; `tests/camera_vm.rs` knows them.
pub const GREYS: [u8; 6] = [40, 75, 110, 145, 180, 215];

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Jpeg,
    Yuyv,
}

type Key = (Kind, (u32, u32), usize);

/// Made when they are first wanted: an emulated processor takes its time for each.
#[derive(Default)]
pub struct Pictures(Mutex<HashMap<Key, Arc<Vec<u8>>>>);

impl Pictures {
    /// The bytes of the `number`th picture.
    pub fn get(&self, kind: Kind, size: (u32, u32), number: usize) -> Arc<Vec<u8>> {
        let which = number % GREYS.len();
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry((kind, size, which)).or_insert_with(|| Arc::new(draw(kind, size, GREYS[which]))))
    }
}

fn draw(kind: Kind, (width, height): (u32, u32), grey: u8) -> Vec<u8> {
    // Any noise will do; this is the generator of old C libraries.
    let mut seed = 1_u32;
    let lights = (0..width * height).map(|_| {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        grey + (seed >> 16) as u8 % 16
    });
    match kind {
        Kind::Jpeg => {
            let lights: Vec<u8> = lights.flat_map(|light| [light; 3]).collect();
            let mut jpeg = Vec::new();
            let encoded = JpegEncoder::new_with_quality(&mut jpeg, 80).write_image(
                &lights,
                width,
                height,
                ExtendedColorType::Rgb8,
            );
            if let Err(error) = encoded {
                eprintln!("test-camera: a picture was not made: {error}");
            }
            jpeg
        }
        Kind::Yuyv => lights.flat_map(|light| [light, 128]).collect(),
    }
}
