//! Chance that is not: numbers that look random and follow from a seed alone.

/// The finalizer of `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A seed for one purpose, drawn from a common one and a name: so that what one thing draws does not move another's.
pub(crate) fn seed_for(seed: u64, name: &str, number: u64) -> u64 {
    name.bytes().fold(mix(seed ^ mix(number)), |state, byte| mix(state ^ u64::from(byte)))
}

/// A number in `0.0 .. 1.0`, evenly spread, from evenly spread bits.
pub(crate) fn unit(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
    let unit = (bits >> 11) as f64 / (1u64 << 53) as f64;
    unit
}
