//! Beliefs as they are stored.

use fulmen_routing::liquidity::Bounds;
use fulmen_routing::liquidity::snapshot::Belief;
use lightning::ln::msgs::DecodeError;
use lightning::util::ser::{Readable, Writeable, Writer};

/// Rows of a short channel id and its two bounds.
pub struct StoredBeliefs(pub Vec<Belief>);

impl Writeable for StoredBeliefs {
    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), lightning::io::Error> {
        (self.0.len() as u64).write(writer)?;
        for row in &self.0 {
            row.scid.write(writer)?;
            for bounds in &row.bounds {
                (bounds.least_msat, bounds.least_at).write(writer)?;
                (bounds.most_msat, bounds.most_at).write(writer)?;
            }
        }
        Ok(())
    }
}

impl Readable for StoredBeliefs {
    fn read<R: lightning::io::Read>(reader: &mut R) -> Result<Self, DecodeError> {
        let count: u64 = Readable::read(reader)?;
        let mut rows = Vec::new();
        for _ in 0..count {
            let scid = Readable::read(reader)?;
            let mut bounds = [Bounds::UNKNOWN; 2];
            for bounds in &mut bounds {
                (bounds.least_msat, bounds.least_at) = Readable::read(reader)?;
                (bounds.most_msat, bounds.most_at) = Readable::read(reader)?;
            }
            rows.push(Belief { scid, bounds });
        }
        Ok(Self(rows))
    }
}
