//! The motion of a box: a Kalman filter of constant velocity for its centre and its size, in parts of the picture and seconds.
//!
//! The four numbers are filtered one by one: with the noise that SORT and ByteTrack assume (proportional to the box's height, the same
//! for all pictures) their 8 x 8 matrices are made of four 2 x 2 blocks and nothing else. Time is in seconds and not in pictures, since
//! cameras and gates drop pictures.

use super::super::result::Rect;

/// A measured position is wrong by this part of the box's height (ByteTrack: 1/20).
const MEASUREMENT: f32 = 0.05;
/// People and cars change their speed by about a height of the box a second, each second.
const ACCELERATION: f32 = 1.0;
/// A new box may move by this many of its heights a second, either way.
const FIRST_VELOCITY: f32 = 1.5;
/// After a gap of so many seconds, the filter's velocity and that between the sightings count alike.
const SHORT_GAP: f32 = 0.3;
/// A box has at least this height in the noise's measure, so that a flat one still moves.
const LEAST_HEIGHT: f32 = 0.02;

/// Position and velocity of one number, with their covariance.
#[derive(Clone, Copy, Debug)]
struct Filter {
    x: f32,
    v: f32,
    p_xx: f32,
    p_xv: f32,
    p_vv: f32,
}

impl Filter {
    fn new(x: f32, height: f32) -> Self {
        let (position, velocity) = (2.0 * MEASUREMENT * height, FIRST_VELOCITY * height);
        Self { x, v: 0.0, p_xx: position * position, p_xv: 0.0, p_vv: velocity * velocity }
    }

    fn predict(&mut self, dt: f32, height: f32) {
        let q = (ACCELERATION * height).powi(2);
        self.x += self.v * dt;
        self.p_xx += dt * (2.0 * self.p_xv + dt * self.p_vv) + q * dt.powi(4) / 4.0;
        self.p_xv += dt * self.p_vv + q * dt.powi(3) / 2.0;
        self.p_vv += q * dt * dt;
    }

    fn update(&mut self, z: f32, height: f32) {
        let s = self.p_xx + (MEASUREMENT * height).powi(2);
        let (k_x, k_v) = (self.p_xx / s, self.p_xv / s);
        let residual = z - self.x;
        self.x += k_x * residual;
        self.v += k_v * residual;
        self.p_vv -= k_v * self.p_xv;
        self.p_xv -= k_x * self.p_xv;
        self.p_xx -= k_x * self.p_xx;
    }
}

/// Where a box is and where it goes.
#[derive(Clone, Debug)]
pub(super) struct BoxFilter {
    /// Centre (x, y), width, height.
    filters: [Filter; 4],
}

impl BoxFilter {
    /// A box that was seen for the first time.
    pub(super) fn new(rect: &Rect) -> Self {
        let height = rect.h.max(LEAST_HEIGHT);
        Self { filters: numbers(rect).map(|x| Filter::new(x, height)) }
    }

    fn height(&self) -> f32 {
        self.filters[3].x.max(LEAST_HEIGHT)
    }

    /// Moves it on by `dt` seconds.
    pub(super) fn predict(&mut self, dt: f32) {
        let height = self.height();
        self.filters.iter_mut().for_each(|f| f.predict(dt, height));
        // A box that was shrinking does not shrink to nothing while it is out of sight.
        for size in &mut self.filters[2..] {
            if size.x < LEAST_HEIGHT {
                (size.x, size.v) = (LEAST_HEIGHT, 0.0);
            }
        }
    }

    /// Takes a measured box.
    pub(super) fn update(&mut self, rect: &Rect) {
        let height = self.height();
        self.filters.iter_mut().zip(numbers(rect)).for_each(|(f, z)| f.update(z, height));
    }

    /// Takes a measured box after `gap` seconds without any, the last at `before`: the centre's velocity meanwhile was that between the two,
    /// the more so the longer the gap, and not what the filter supposed (OC-SORT's re-update along a virtual trajectory, in one step).
    pub(super) fn found_again(&mut self, before: &Rect, rect: &Rect, gap: f32) {
        self.update(rect);
        let share = gap / (gap + SHORT_GAP);
        for ((f, z), old) in self.filters[..2].iter_mut().zip(numbers(rect)).zip(numbers(before)) {
            f.v += share * ((z - old) / gap.max(1e-3) - f.v);
        }
    }

    /// The box as it is thought to be.
    pub(super) fn rect(&self) -> Rect {
        let [x, y, w, h] = self.filters.map(|f| f.x);
        Rect::around(x, y, w, h)
    }

    /// The centre's velocity, in parts of the picture a second.
    pub(super) fn velocity(&self) -> (f32, f32) {
        (self.filters[0].v, self.filters[1].v)
    }
}

fn numbers(rect: &Rect) -> [f32; 4] {
    let (x, y) = rect.centre();
    [x, y, rect.w, rect.h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_moves_evenly_is_predicted_where_it_will_be() {
        let at = |t: f32| Rect::around(0.1 + 0.2 * t, 0.5, 0.1, 0.3);
        let mut filter = BoxFilter::new(&at(0.0));
        for step in 1..=10 {
            filter.predict(0.2);
            filter.update(&at(step as f32 * 0.2));
        }
        let (vx, vy) = filter.velocity();
        assert!((vx - 0.2).abs() < 0.01 && vy.abs() < 0.01, "{vx} {vy}");
        filter.predict(0.5);
        assert!(filter.rect().overlap(&at(2.5)) > 0.95, "{:?}", filter.rect());
    }

    #[test]
    fn after_a_gap_the_velocity_is_mostly_that_between_the_sightings() {
        let mut filter = BoxFilter::new(&Rect::around(0.2, 0.5, 0.1, 0.3));
        let at = |x: f32| Rect::around(x, 0.5, 0.1, 0.3);
        (1..=5).for_each(|n| {
            filter.predict(0.2);
            filter.update(&at(0.2 - 0.02 * n as f32));
        });
        assert!(filter.velocity().0 < -0.05);
        filter.predict(3.0);
        filter.found_again(&at(0.1), &at(0.7), 3.0);
        assert!((filter.velocity().0 - 0.2).abs() < 0.05, "{:?}", filter.velocity());
    }

    #[test]
    fn a_shrinking_box_keeps_a_size() {
        let mut filter = BoxFilter::new(&Rect::around(0.5, 0.5, 0.2, 0.4));
        for step in 1..=5 {
            filter.predict(0.2);
            filter.update(&Rect::around(0.5, 0.5, 0.2 - 0.03 * step as f32, 0.4 - 0.06 * step as f32));
        }
        filter.predict(30.0);
        let rect = filter.rect();
        assert!(rect.w > 0.0 && rect.h > 0.0, "{rect:?}");
    }
}
