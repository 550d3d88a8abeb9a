//! The camera's pictures: grey, with one light band whose place tells which picture it is.
//!
//! When they are sent is not here: see `device.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// A picture is this many bands high, and there are as many pictures: in the first the first band is light, and so
/// on. Of two halves of different pictures nearly always both or neither have a light band. `tests/camera_vm.rs`
/// knows these numbers.
const BANDS: u32 = 8;
const GREY: u8 = 90;
const LIGHT: u8 = 170;
/// Noise of 0 to 15 on top, so that a JPEG has its usual size.
const NOISE: u8 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Jpeg,
    Yuyv,
}

type Key = (Kind, (u32, u32), u32);

/// Made when they are first wanted: an emulated processor takes its time for each.
#[derive(Default)]
pub struct Pictures(Mutex<HashMap<Key, Arc<Vec<u8>>>>);

impl Pictures {
    /// The bytes of the `number`th picture.
    pub fn get(&self, kind: Kind, size: (u32, u32), number: u32) -> Arc<Vec<u8>> {
        let band = number % BANDS;
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry((kind, size, band)).or_insert_with(|| Arc::new(draw(kind, size, band))))
    }
}

fn draw(kind: Kind, (width, height): (u32, u32), band: u32) -> Vec<u8> {
    // Any noise will do; this is the generator of old C libraries.
    let mut seed = 1_u32;
    let lights = (0..width * height).map(|at| {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let light = if at / width * BANDS / height == band { LIGHT } else { GREY };
        light + (seed >> 16) as u8 % NOISE
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
