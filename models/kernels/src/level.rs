//! Which instructions the kernels may use: a value that can only be had by asking the processor.

use std::fmt;

/// Proof that this processor has the instructions of one kernel set. There is no way to make one but to detect it, which
/// is what the `unsafe` calls behind the dispatch rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub(crate) Set);

/// The kernel sets that exist in this build, from plainest to fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 with VNNI, as it is encoded without AVX-512 (Alder Lake, the N100); it has all of AVX2.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// The same instructions as AVX-512 encodes them: for testing them where the other encoding is missing.
    #[cfg(target_arch = "x86_64")]
    AvxVnniEvex,
    /// AVX-512 with VNNI (Cascade Lake, Zen 4 and later); it has all of AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON with byte products.
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
    /// NEON with byte products and byte matrices.
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
}

/// The name of a kernel set that this processor (or this build) does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLevel {
    /// What was asked for.
    pub asked: String,
}

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here: Vec<&str> = Level::present().iter().map(|level| level.name()).collect();
        write!(
            f,
            "NEARFIELD_SIMD names {:?}, which this machine does not have; accepted here: {}",
            self.asked,
            here.join(", ")
        )
    }
}

impl std::error::Error for UnknownLevel {}

impl Level {
    /// Plain Rust, for any processor: the definition of every kernel.
    pub const SCALAR: Level = Level(Set::Scalar);

    /// Every level that this processor has, plainest first.
    pub fn present() -> Vec<Level> {
        #[allow(unused_mut)]
        let mut levels = vec![Level::SCALAR];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            levels.push(Level(Set::Avx2));
            let wide_vnni = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if is_x86_feature_detected!("avxvnni") {
                levels.push(Level(Set::AvxVnni));
            } else if wide_vnni {
                levels.push(Level(Set::AvxVnniEvex));
            }
            if wide_vnni && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512dq") {
                levels.push(Level(Set::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            levels.push(Level(Set::Neon));
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                levels.push(Level(Set::NeonDotprod));
                if std::arch::is_aarch64_feature_detected!("i8mm") {
                    levels.push(Level(Set::NeonI8mm));
                }
            }
        }
        levels
    }

    /// The fastest level of this processor, or the one that the environment variable `NEARFIELD_SIMD` lowers it to.
    ///
    /// # Errors
    /// The variable names a level that is not present.
    pub fn detect() -> Result<Level, UnknownLevel> {
        match std::env::var("NEARFIELD_SIMD") {
            Ok(name) if !name.is_empty() => Level::named(&name),
            _ => Ok(Level::best()),
        }
    }

    /// The fastest level of this processor.
    pub fn best() -> Level {
        Level::present().last().copied().unwrap_or(Level::SCALAR)
    }

    /// The level of that name, if it is present.
    ///
    /// # Errors
    /// It is not.
    pub fn named(name: &str) -> Result<Level, UnknownLevel> {
        Level::present()
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownLevel { asked: name.to_owned() })
    }

    /// `scalar`, `avx2`, `avx-vnni`, `avx512`, `neon`, `neon-dotprod`, `neon-i8mm`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni | Set::AvxVnniEvex => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::NeonDotprod => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Set::NeonI8mm => "neon-i8mm",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
