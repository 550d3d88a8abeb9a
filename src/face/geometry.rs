//! Boxes, points and detections in frame pixels: x to the right, y down, origin at the top left.

/// A point in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// An axis-aligned box in pixels; `x2`/`y2` lie just outside. It may reach past the frame's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoundingBox {
    pub x1: f32,
    pub y1: f32,
    pub x2: f32,
    pub y2: f32,
}

impl BoundingBox {
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    pub fn centre(&self) -> Point {
        Point { x: (self.x1 + self.x2) / 2.0, y: (self.y1 + self.y2) / 2.0 }
    }

    /// Intersection over union in [0, 1]; 0 for empty boxes.
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other);
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The share of this box's area that lies inside a frame of `width` × `height` pixels, in [0, 1].
    pub fn share_inside(&self, width: u32, height: u32) -> f32 {
        let frame = Self { x1: 0.0, y1: 0.0, x2: width as f32, y2: height as f32 };
        if self.area() > 0.0 { self.intersection(&frame) / self.area() } else { 0.0 }
    }

    fn intersection(&self, other: &Self) -> f32 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        width.max(0.0) * height.max(0.0)
    }
}

/// The five points every detector of ours gives, named by their side in the picture:
/// left eye, right eye, nose tip, left mouth corner, right mouth corner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Landmarks(pub [Point; 5]);

impl Landmarks {
    pub const LEFT_EYE: usize = 0;
    pub const RIGHT_EYE: usize = 1;
    pub const NOSE: usize = 2;
    pub const LEFT_MOUTH: usize = 3;
    pub const RIGHT_MOUTH: usize = 4;

    /// Distance between the eyes in pixels.
    pub fn eye_distance_px(&self) -> f32 {
        let (left, right) = (self.0[Self::LEFT_EYE], self.0[Self::RIGHT_EYE]);
        (right.x - left.x).hypot(right.y - left.y)
    }
}

/// One face in one frame. `confidence` in [0, 1] says "this is a face"; it says nothing about whose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    pub bounds: BoundingBox,
    pub landmarks: Landmarks,
    pub confidence: f32,
}
