//! A descriptor of a picture that needs no model: luminance and edges in a coarse grid. The gate compares pictures by it where no
//! vision model is configured.

use super::picture::Picture;

/// A descriptor of a picture without a model: 16 x 12 means of luminance and as many of its edges, each without its mean, so
/// that a change of the light's strength alone changes little. Length 1.
pub(super) fn light_and_edges(picture: &Picture) -> Vec<f32> {
    const W: usize = 32;
    const H: usize = 24;
    let (pixels, _) = picture.resampled(W, H, super::Fit::Stretch, super::Filter::Bilinear);
    let light: Vec<f32> =
        pixels.chunks_exact(3).map(|p| (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]) / 255.0).collect();
    let mut blocks = [vec![0.0f32; W * H / 4], vec![0.0f32; W * H / 4]];
    for y in 0..H {
        for x in 0..W {
            let at = |x: usize, y: usize| light[y.min(H - 1) * W + x.min(W - 1)];
            let edge = (at(x + 1, y) - at(x, y)).abs() + (at(x, y + 1) - at(x, y)).abs();
            let block = y / 2 * (W / 2) + x / 2;
            blocks[0][block] += at(x, y) / 4.0;
            blocks[1][block] += edge;
        }
    }
    let mut out = Vec::with_capacity(W * H / 2);
    for block in blocks {
        let mean = block.iter().sum::<f32>() / block.len() as f32;
        let centred: Vec<f32> = block.iter().map(|v| v - mean).collect();
        // A hundredth of the range: what a flat picture's noise must not be blown up beyond.
        let length = centred.iter().map(|v| v * v).sum::<f32>().sqrt().max(0.01 * (centred.len() as f32).sqrt());
        out.extend(centred.iter().map(|v| v / length));
    }
    // Flat pictures have no direction of their own; this gives them one.
    out.push(0.1);
    let length = out.iter().map(|v| v * v).sum::<f32>().sqrt();
    out.iter_mut().for_each(|v| *v /= length);
    out
}

#[cfg(test)]
mod tests {
    use super::super::gate::cosine;
    use super::*;

    #[test]
    fn without_a_model_noise_is_near_and_another_scene_is_far() {
        let scene = |bright: usize, left: usize, seed: usize| {
            let rgb = (0..160 * 120)
                .flat_map(|i| {
                    let (x, y) = (i % 160, i / 160);
                    let thing = (left..left + 40).contains(&x) && (40..90).contains(&y);
                    let noise = (i * 7919 + seed * 104_729) % 13;
                    [(if thing { 200 } else { 60 } + bright + noise) as u8; 3]
                })
                .collect();
            light_and_edges(&Picture::from_rgb(160, 120, rgb, "made").unwrap())
        };
        let base = scene(0, 20, 1);
        let (noisy, brighter, moved) = (scene(0, 20, 2), scene(20, 20, 3), scene(0, 90, 1));
        assert!(cosine(&base, &noisy) > 0.99, "{}", cosine(&base, &noisy));
        assert!(cosine(&base, &brighter) > 0.98, "{}", cosine(&base, &brighter));
        assert!(cosine(&base, &moved) < 0.5, "{}", cosine(&base, &moved));
    }
}
