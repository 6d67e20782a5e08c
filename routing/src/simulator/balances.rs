//! Hidden balances, drawn from a seed.

use crate::fixture::dice::Dice;
use crate::graph::view::View;

/// How balances are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Model {
    /// Anything between nothing and the capacity, evenly.
    Uniform,
    /// Near one end: the distance from it falls off exponentially, with this share of the capacity as its
    /// scale.
    Bimodal {
        /// Mean distance from the end, as a share of the capacity (before it is cut at the other end).
        scale: f64,
    },
}

/// What each end of each channel holds.
#[derive(Clone, Debug)]
pub struct Balances {
    /// Of the lesser key, msat, by channel index.
    lesser: Vec<u64>,
}

impl Balances {
    /// Draws balances for all channels of a view.
    pub fn draw(view: &View, model: Model, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let lesser = (0..view.channel_count() as u32).map(|channel| {
            let capacity = view.capacity_msat(channel);
            let share = match model {
                Model::Uniform => dice.unit(),
                Model::Bimodal { scale } => {
                    let near = dice.below(2) == 0;
                    // The exponential distribution cut at 1, by inversion.
                    let cut = 1.0 - (-1.0 / scale).exp();
                    let distance = -scale * (1.0 - dice.unit() * cut).ln();
                    if near { distance } else { 1.0 - distance }
                }
            };
            ((capacity as f64 * share.clamp(0.0, 1.0)) as u64).min(capacity)
        });
        Self { lesser: lesser.collect() }
    }

    /// Returns what can be sent over a channel in a direction, msat; 0 for an unknown channel.
    pub fn of(&self, view: &View, scid: u64, direction: u8) -> u64 {
        view.channel_index(scid)
            .map_or(0, |channel| self.of_link(view, channel * 2 + u32::from(direction)))
    }

    pub(crate) fn of_link(&self, view: &View, link: u32) -> u64 {
        let lesser = self.lesser[(link >> 1) as usize];
        if link & 1 == 0 { lesser } else { view.capacity_msat(link >> 1) - lesser }
    }
}
