//! What the camera says of itself, and how a format is agreed with it: USB Video Class 1.0, with a bulk endpoint.
//!
//! Sending pictures is not here: see `device.rs`. The numbers are those of the class's specification (tables 3-3 to
//! 3-20 and 4-47), and of the payload specifications for MJPEG and for uncompressed pictures.

use crate::pictures::Kind;

/// The bytes of one transfer of pictures: what Linux asks for at once, 32 packets of 512 bytes.
pub const TRANSFER: usize = 32 * 512;

/// What a camera has to offer; formats and sizes are numbered from 1 in this order.
const FORMATS: [(Kind, [(u32, u32); 2]); 2] =
    [(Kind::Jpeg, [(640, 480), (1280, 720)]), (Kind::Yuyv, [(640, 480), (320, 240)])];

/// The time of a picture in units of 100 ns: 30, 15 and 7.5 a second.
const INTERVALS: [u32; 3] = [333_333, 666_666, 1_333_333];

const VIDEO: u8 = 0x0E;
/// A descriptor that belongs to the class, of an interface.
const OF_CLASS: u8 = 0x24;

/// What was agreed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    format: u8,
    size: u8,
    interval: u32,
}

impl Default for Agreed {
    fn default() -> Self {
        Self { format: 1, size: 1, interval: INTERVALS[0] }
    }
}

impl Agreed {
    pub fn kind(self) -> Kind {
        FORMATS[usize::from(self.format) - 1].0
    }

    pub fn size(self) -> (u32, u32) {
        FORMATS[usize::from(self.format) - 1].1[usize::from(self.size) - 1]
    }

    pub fn interval(self) -> u32 {
        self.interval
    }

    /// What the driver wants, brought to what there is; `None` if it is too short to say.
    fn wanted(block: &[u8]) -> Option<Self> {
        let interval = u32::from_le_bytes(block.get(4..8)?.try_into().ok()?);
        let nearest = INTERVALS.into_iter().min_by_key(|ours| ours.abs_diff(interval))?;
        Some(Self { format: block[2].clamp(1, 2), size: block[3].clamp(1, 2), interval: nearest })
    }

    /// As the class carries it: 26 bytes.
    fn block(self) -> Vec<u8> {
        let (width, height) = self.size();
        let mut block = vec![1, 0, self.format, self.size];
        block.extend(self.interval.to_le_bytes());
        block.resize(18, 0);
        block.extend((width * height * 2).to_le_bytes());
        block.extend((TRANSFER as u32).to_le_bytes());
        block
    }
}

/// The answer to a request to endpoint 0.
pub enum Answer {
    Bytes(Vec<u8>),
    Done,
    Start(Agreed),
    Stop,
    Unknown,
}

/// Answers a request; `agreed` is changed by the requests that do so.
pub fn control(setup: [u8; 8], sent: &[u8], agreed: &mut Agreed) -> Answer {
    const PROBE: u8 = 1;
    const COMMIT: u8 = 2;
    const STREAMING_INTERFACE: u16 = 1;
    let [kind, request, low, high, ..] = setup;
    let index = u16::from_le_bytes([setup[4], setup[5]]);
    match (kind, request) {
        // GET_DESCRIPTOR
        (0x80, 6) => match high {
            1 => Answer::Bytes(of_device()),
            2 => Answer::Bytes(of_configuration()),
            3 => text(low).map_or(Answer::Unknown, Answer::Bytes),
            _ => Answer::Unknown,
        },
        // GET_STATUS, GET_CONFIGURATION, GET_INTERFACE
        (0x80..=0x82, 0) => Answer::Bytes(vec![0, 0]),
        (0x80, 8) => Answer::Bytes(vec![1]),
        (0x81, 10) => Answer::Bytes(vec![0]),
        // CLEAR_FEATURE of an endpoint: how Linux ends a bulk stream.
        (0x02, 1) => Answer::Stop,
        (0x00 | 0x01, _) => Answer::Done,
        // SET_CUR of what is tried, and of what is meant.
        (0x21, 1) if index == STREAMING_INTERFACE && (high == PROBE || high == COMMIT) => match Agreed::wanted(sent) {
            Some(wanted) => {
                *agreed = wanted;
                if high == COMMIT { Answer::Start(wanted) } else { Answer::Done }
            }
            None => Answer::Unknown,
        },
        // GET_LEN, GET_INFO, GET_CUR and its like.
        (0xA1, 0x85) if index == STREAMING_INTERFACE => Answer::Bytes(vec![26, 0]),
        (0xA1, 0x86) if index == STREAMING_INTERFACE => Answer::Bytes(vec![3]),
        (0xA1, 0x81..=0x87) if index == STREAMING_INTERFACE => Answer::Bytes(agreed.block()),
        _ => Answer::Unknown,
    }
}

/// Puts a descriptor's length before it.
fn sized(rest: &[u8]) -> Vec<u8> {
    [&[rest.len() as u8 + 1], rest].concat()
}

fn of_device() -> Vec<u8> {
    // USB 2.0; several interfaces belong together; 64 bytes at endpoint 0; the Linux Foundation's test numbers.
    sized(&[1, 0x00, 0x02, 0xEF, 2, 1, 64, 0x6B, 0x1D, 0x05, 0x01, 0x00, 0x01, 1, 2, 3, 1])
}

fn text(index: u8) -> Option<Vec<u8>> {
    if index == 0 {
        // English is spoken.
        return Some(sized(&[3, 0x09, 0x04]));
    }
    let text = ["Snova", "Snova Test Camera", "0001"].get(usize::from(index) - 1)?;
    let letters: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Some(sized(&[&[3], letters.as_slice()].concat()))
}

fn of_configuration() -> Vec<u8> {
    let mut all = Vec::new();
    // Two interfaces that belong together as a camera.
    all.extend(sized(&[0x0B, 0, 2, VIDEO, 3, 0, 2]));
    all.extend(sized(&[4, 0, 0, 0, VIDEO, 1, 0, 2]));
    all.extend(of_control());
    // The streaming interface with its one bulk endpoint, 512 bytes a packet, into the computer.
    all.extend(sized(&[4, 1, 0, 1, VIDEO, 2, 0, 0]));
    all.extend(of_streaming());
    all.extend(sized(&[5, 0x81, 2, 0x00, 0x02, 0]));
    let total = (all.len() as u16 + 9).to_le_bytes();
    let head = sized(&[2, total[0], total[1], 2, 1, 0, 0x80, 250]);
    [head, all].concat()
}

/// A lens, and the way out of the camera.
fn of_control() -> Vec<u8> {
    let lens = sized(&[OF_CLASS, 2, 1, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
    let out = sized(&[OF_CLASS, 3, 3, 0x01, 0x01, 0, 1, 0]);
    let total = (13 + lens.len() as u16 + out.len() as u16).to_le_bytes();
    let clock = 48_000_000_u32.to_le_bytes();
    let head = [&[OF_CLASS, 1, 0x00, 0x01, total[0], total[1]], clock.as_slice(), &[1, 1]].concat();
    [sized(&head), lens, out].concat()
}

fn of_streaming() -> Vec<u8> {
    let mut formats = Vec::new();
    for (number, (kind, sizes)) in (1..).zip(FORMATS) {
        let of_size = match kind {
            Kind::Jpeg => {
                formats.extend(sized(&[OF_CLASS, 6, number, sizes.len() as u8, 0, 1, 0, 0, 0, 0]));
                7
            }
            Kind::Yuyv => {
                let guid = *b"YUY2\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71";
                let head = [OF_CLASS, 4, number, sizes.len() as u8];
                formats.extend(sized(&[&head, guid.as_slice(), &[16, 1, 0, 0, 0, 0]].concat()));
                5
            }
        };
        for (at, (width, height)) in (1..).zip(sizes) {
            let mut size = vec![OF_CLASS, of_size, at, 0];
            size.extend((width as u16).to_le_bytes());
            size.extend((height as u16).to_le_bytes());
            let bytes = width * height * 2;
            for number in [bytes * 8 * 7, bytes * 8 * 30, bytes, INTERVALS[0]] {
                size.extend(number.to_le_bytes());
            }
            size.push(INTERVALS.len() as u8);
            size.extend(INTERVALS.into_iter().flat_map(u32::to_le_bytes));
            formats.extend(sized(&size));
        }
        // Colours as television has them.
        formats.extend(sized(&[OF_CLASS, 0x0D, 1, 1, 4]));
    }
    let count = FORMATS.len() as u8;
    let length = 13 + FORMATS.len();
    let total = ((length + formats.len()) as u16).to_le_bytes();
    let head = [OF_CLASS, 1, count, total[0], total[1], 0x81, 0, 3, 0, 0, 0, 1];
    let head = sized(&[&head[..], &[0; 2]].concat());
    [head, formats].concat()
}
