//! Dense motion between two pictures, as seen from halfway between them.
//!
//! For each pixel x of the moment in the middle, v(x) is the displacement with a(x − v/2) ≈ b(x + v/2). One field serves
//! both directions and every moment in between, leaves no holes, and needs no occlusion test.
//! The field minimises a robust colour difference plus a robust, edge-aware smoothness (after Brox et al., ECCV 2004, and
//! the symmetric form of Alvarez et al., IJCV 2007), from coarse to fine, by successive over-relaxation.

use image::RgbImage;

/// One RGB sample, each channel 0 to 1.
type Sample = [f32; 3];

/// Larger pictures are halved until they are at most this wide; the field is then spread. Bounds the cost.
const FINEST_WIDTH: usize = 256;
/// The coarsest level is at least this high: below it nothing can be recognised.
const COARSEST_HEIGHT: usize = 12;
/// Linearisations per level.
const WARPS: usize = 4;
/// Relaxations per linearisation.
const RELAXATIONS: usize = 16;
/// Over-relaxation, 1 to 2.
const OMEGA: f32 = 1.85;
/// Weight of smoothness against colour.
const ALPHA: f32 = 0.06;
/// Colour differences under this are noise.
const EPSILON_COLOUR: f32 = 0.02;
/// Differences of motion between neighbours under this are no edge, pixels.
const EPSILON_MOTION: f32 = 0.1;
/// How much an edge in the picture allows an edge in the motion.
const EDGE: f32 = 6.0;

/// Motion per pixel: (right, down) in pixels.
pub(crate) struct Flow {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) v: Vec<[f32; 2]>,
}

/// The motion from one picture to another of the same size.
pub(crate) fn flow(a: &RgbImage, b: &RgbImage) -> Flow {
    let (mut pyramid, full) = (vec![(Plane::from(a), Plane::from(b))], (a.width() as usize, a.height() as usize));
    while let Some((a, b)) = pyramid.last()
        && a.height / 2 >= COARSEST_HEIGHT
        && a.width / 2 >= COARSEST_HEIGHT
    {
        pyramid.push((a.halved(), b.halved()));
    }
    let finest = pyramid.iter().position(|(a, _)| a.width <= FINEST_WIDTH).unwrap_or(pyramid.len() - 1);
    let mut found: Option<Flow> = None;
    for (a, b) in pyramid[finest..].iter().rev() {
        let mut field = match found {
            Some(coarse) => coarse.spread(a.width, a.height),
            None => Flow { width: a.width, height: a.height, v: vec![[0.0; 2]; a.width * a.height] },
        };
        for _ in 0..WARPS {
            field = refine(a, b, &field);
        }
        found = Some(field);
    }
    found.expect("a pyramid has a level").spread(full.0, full.1)
}

impl Flow {
    /// The same motion on another grid.
    fn spread(self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self;
        }
        let (kx, ky) = (self.width as f32 / width as f32, self.height as f32 / height as f32);
        let mut v = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let at = ((x as f32 + 0.5) * kx - 0.5, (y as f32 + 0.5) * ky - 0.5);
                let [u, w] = bilinear(&self.v, self.width, self.height, at.0, at.1);
                v.push([u / kx, w / ky]);
            }
        }
        Self { width, height, v }
    }
}

/// A picture as floating-point samples.
struct Plane {
    width: usize,
    height: usize,
    data: Vec<Sample>,
}

impl Plane {
    fn from(picture: &RgbImage) -> Self {
        let data = picture.pixels().map(|p| p.0.map(|c| f32::from(c) / 255.0)).collect();
        Self { width: picture.width() as usize, height: picture.height() as usize, data }.smoothed()
    }

    /// Binomial 3×3: hides the pixel grid from the gradients.
    fn smoothed(&self) -> Self {
        let pass = |data: &[Sample], step: usize, count: usize, along: usize| -> Vec<Sample> {
            (0..data.len())
                .map(|i| {
                    let at = i / step % count;
                    let before = if at > 0 { i - along } else { i };
                    let after = if at + 1 < count { i + along } else { i };
                    std::array::from_fn(|c| 0.25 * (data[before][c] + data[after][c]) + 0.5 * data[i][c])
                })
                .collect()
        };
        let rows = pass(&self.data, 1, self.width, 1);
        Self { data: pass(&rows, self.width, self.height, self.width), ..*self }
    }

    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let from = self.smoothed();
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let i = y * 2 * self.width + x * 2;
                let [p, q, r, s] = [i, i + 1, i + self.width, i + self.width + 1].map(|i| from.data[i]);
                data.push(std::array::from_fn(|c| 0.25 * (p[c] + q[c] + r[c] + s[c])));
            }
        }
        Self { width, height, data }
    }
}

/// One linearisation around a field, solved for the whole field.
fn refine(a: &Plane, b: &Plane, field: &Flow) -> Flow {
    let (width, height) = (a.width, a.height);
    let (terms, edges) = linearise(a, b, field);
    let links = links(field, &edges);
    let mut v = field.v.clone();
    for _ in 0..RELAXATIONS {
        for y in 0..height {
            for x in 0..width {
                let i = y * width + x;
                let (mut weight, mut u_sum, mut w_sum) = (0.0, 0.0, 0.0);
                let mut link = |k: f32, j: usize| {
                    weight += k;
                    u_sum += k * v[j][0];
                    w_sum += k * v[j][1];
                };
                if x > 0 {
                    link(links[i - 1][0], i - 1);
                }
                if x + 1 < width {
                    link(links[i][0], i + 1);
                }
                if y > 0 {
                    link(links[i - width][1], i - width);
                }
                if y + 1 < height {
                    link(links[i][1], i + width);
                }
                let Term { xx, xy, yy, xt, yt } = terms[i];
                let [u0, w0] = field.v[i];
                let u = (u_sum + xx * u0 - xt - xy * (v[i][1] - w0)) / (xx + weight + 1e-6);
                v[i][0] += OMEGA * (u - v[i][0]);
                let w = (w_sum + yy * w0 - yt - xy * (v[i][0] - u0)) / (yy + weight + 1e-6);
                v[i][1] += OMEGA * (w - v[i][1]);
            }
        }
    }
    Flow { width, height, v }
}

/// The colour term's quadratic form in the change of motion.
#[derive(Clone, Copy)]
struct Term {
    xx: f32,
    xy: f32,
    yy: f32,
    xt: f32,
    yt: f32,
}

/// The colour terms, and the strength of the picture's edge at each pixel.
fn linearise(a: &Plane, b: &Plane, field: &Flow) -> (Vec<Term>, Vec<f32>) {
    let (width, height) = (a.width, a.height);
    let (mut mean, mut change) = (Vec::with_capacity(a.data.len()), Vec::with_capacity(a.data.len()));
    for y in 0..height {
        for x in 0..width {
            let [u, w] = field.v[y * width + x].map(|v| v / 2.0);
            let from = bilinear(&a.data, width, height, x as f32 - u, y as f32 - w);
            let to = bilinear(&b.data, width, height, x as f32 + u, y as f32 + w);
            mean.push(std::array::from_fn::<f32, 3, _>(|c| 0.5 * (from[c] + to[c])));
            change.push(std::array::from_fn::<f32, 3, _>(|c| to[c] - from[c]));
        }
    }
    let (mut terms, mut edges) = (Vec::with_capacity(mean.len()), Vec::with_capacity(mean.len()));
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let (left, right) = (if x > 0 { i - 1 } else { i }, if x + 1 < width { i + 1 } else { i });
            let (up, down) = (if y > 0 { i - width } else { i }, if y + 1 < height { i + width } else { i });
            let mut term = Term { xx: 0.0, xy: 0.0, yy: 0.0, xt: 0.0, yt: 0.0 };
            let mut difference = 0.0;
            for c in 0..3 {
                let (gx, gy) = (0.5 * (mean[right][c] - mean[left][c]), 0.5 * (mean[down][c] - mean[up][c]));
                let gt = change[i][c];
                difference += gt * gt;
                term.xx += gx * gx;
                term.xy += gx * gy;
                term.yy += gy * gy;
                term.xt += gx * gt;
                term.yt += gy * gt;
            }
            edges.push((term.xx + term.yy).sqrt());
            let robust = 1.0 / (difference + EPSILON_COLOUR * EPSILON_COLOUR).sqrt();
            let Term { xx, xy, yy, xt, yt } = term;
            terms.push(Term { xx: xx * robust, xy: xy * robust, yy: yy * robust, xt: xt * robust, yt: yt * robust });
        }
    }
    (terms, edges)
}

/// How strongly each pixel's motion is tied to its right and its lower neighbour's.
fn links(field: &Flow, edges: &[f32]) -> Vec<[f32; 2]> {
    let tie = |i: usize, j: usize| {
        let (p, q) = (field.v[i], field.v[j]);
        let apart = (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
        let edge = 1.0 + EDGE * (edges[i] + edges[j]);
        ALPHA / (edge * (apart + EPSILON_MOTION * EPSILON_MOTION).sqrt())
    };
    (0..field.v.len())
        .map(|i| {
            let right = if i % field.width + 1 < field.width { tie(i, i + 1) } else { 0.0 };
            let down = if i + field.width < field.v.len() { tie(i, i + field.width) } else { 0.0 };
            [right, down]
        })
        .collect()
}

/// A grid's value between its points; the border's value outside.
fn bilinear<const N: usize>(data: &[[f32; N]], width: usize, height: usize, x: f32, y: f32) -> [f32; N] {
    let (x, y) = (x.clamp(0.0, (width - 1) as f32), y.clamp(0.0, (height - 1) as f32));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(width - 1), (y0 + 1).min(height - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let [p, q, r, s] = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| &data[y * width + x]);
    std::array::from_fn(|c| (p[c] * (1.0 - fx) + q[c] * fx) * (1.0 - fy) + (r[c] * (1.0 - fx) + s[c] * fx) * fy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// A soft disc over a ground of soft waves that stay, centred at (x, y).
    fn disc(x: f32, y: f32) -> RgbImage {
        RgbImage::from_fn(96, 56, |px, py| {
            let cover = ((12.0 - (px as f32 - x).hypot(py as f32 - y)) / 3.0).clamp(0.0, 1.0);
            let wave = 30.0 * ((px as f32 / 4.0).sin() + (py as f32 / 5.0).cos());
            let mix = |ground: f32, disc: f32| (ground + (disc - ground) * cover) as u8;
            Rgb([mix(90.0 + wave, 220.0), mix(90.0, 60.0), mix(150.0 - wave, 30.0)])
        })
    }

    #[test]
    fn a_disc_that_moves_is_followed_and_its_ground_stays() {
        let flow = flow(&disc(40.0, 28.0), &disc(46.0, 25.0));
        let [u, v] = flow.v[26 * 96 + 43];
        assert!((u - 6.0).abs() < 0.7 && (v + 3.0).abs() < 0.7, "{u} {v}");
        let [u, v] = flow.v[5 * 96 + 90];
        assert!(u.abs() < 0.5 && v.abs() < 0.5, "{u} {v}");
    }

    #[test]
    fn equal_pictures_do_not_move() {
        let flow = flow(&disc(40.0, 28.0), &disc(40.0, 28.0));
        assert!(flow.v.iter().flatten().all(|v| v.abs() < 1e-4));
    }
}
