//! The command line.

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub payments: usize,
    pub fee_ppm: u64,
    pub max_parts: usize,
    pub amounts_sat: Vec<u64>,
    pub graph: Option<String>,
    pub plot: Option<String>,
    /// Scale of the bimodal balances, as a share of the capacity.
    pub scale: f64,
    /// Leave LDK out (for tuning; ratios are then 0).
    pub alone: bool,
    /// Least capacity of either end's channels together, in payments; 0 for no such rule.
    pub ends_hold: u64,
    /// Report what could be delivered if all balances were known.
    pub ceiling: bool,
}

impl Options {
    /// Reads the arguments; `Err` is the message for the user.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            seed: 1,
            payments: 50,
            fee_ppm: 10_000,
            max_parts: 100,
            amounts_sat: vec![100_000, 1_000_000, 5_000_000, 20_000_000],
            graph: None,
            plot: None,
            scale: 0.1,
            alone: false,
            ends_hold: 0,
            ceiling: false,
        };
        while let Some(name) = args.next() {
            if name == "--bench" {
                continue;
            }
            if name == "--alone" {
                options.alone = true;
                continue;
            }
            if name == "--ceiling" {
                options.ceiling = true;
                continue;
            }
            let value = args.next().ok_or(format!("{name} needs a value"))?;
            let number =
                || value.parse::<u64>().map_err(|_| format!("{name} {value} is no number"));
            match name.as_str() {
                "--seed" => options.seed = number()?,
                "--payments" => options.payments = number()? as usize,
                "--fee-ppm" => options.fee_ppm = number()?,
                "--max-parts" => options.max_parts = number()? as usize,
                "--ends-hold" => options.ends_hold = number()?,
                "--graph" => options.graph = Some(value),
                "--plot" => options.plot = Some(value),
                "--scale" => {
                    options.scale = value.parse().map_err(|_| format!("{value} is no number"))?
                }
                "--amounts" => {
                    options.amounts_sat = value.split(',').filter_map(|a| a.parse().ok()).collect();
                }
                _ => return Err(format!("{name} is not an option")),
            }
        }
        Ok(options)
    }
}
