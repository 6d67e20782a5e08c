//! A route as JSON, read back as `--json` prints it.
use fulmen_proto::v1::{Route, RouteHop, RoutePart};
use serde_json::Value;

use crate::ids::{NodeId, ShortChannelId};

/// Reads a route; one that is wrapped in an answer (`{"route": …}`) will do.
///
/// # Errors
/// A sentence's end that names what is missing.
pub fn parse(text: &str) -> Result<Route, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let route = value.get("route").unwrap_or(&value);
    let parts = list(route, "parts")?.iter().map(part).collect::<Result<Vec<_>, String>>()?;
    Ok(Route { parts, ..Route::default() })
}

fn part(part: &Value) -> Result<RoutePart, String> {
    let hops = list(part, "hops")?.iter().map(hop).collect::<Result<Vec<_>, String>>()?;
    Ok(RoutePart { hops, ..RoutePart::default() })
}

fn hop(hop: &Value) -> Result<RouteHop, String> {
    let text = |name: &'static str| {
        hop.get(name).and_then(Value::as_str).ok_or_else(|| format!("a hop lacks {name}"))
    };
    let number = |name: &'static str| {
        hop.get(name).and_then(Value::as_u64).ok_or_else(|| format!("a hop lacks {name}"))
    };
    let NodeId(node_id) = text("node_id")?.parse()?;
    let ShortChannelId(short_channel_id) = text("short_channel_id")?.parse()?;
    let blocks = number("total_cltv_delta")?;
    Ok(RouteHop {
        node_id,
        short_channel_id,
        amount_msat: number("amount_msat")?,
        fee_msat: 0,
        total_cltv_delta: blocks.try_into().map_err(|_| format!("{blocks} blocks are too many"))?,
    })
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    value.get(name).and_then(Value::as_array).ok_or_else(|| format!("it has no list `{name}`"))
}

#[cfg(test)]
mod tests {
    use fulmen_proto::v1::BuildRouteResponse;

    use super::*;
    use crate::format::json::json;

    #[test]
    fn what_is_printed_is_read_back() {
        let hop = |scid, amount_msat| RouteHop {
            node_id: [&[2], &[7; 32][..]].concat(),
            short_channel_id: scid,
            amount_msat,
            fee_msat: 0,
            total_cltv_delta: 40,
        };
        let hops = vec![hop(539 << 40, u64::MAX), hop(540 << 40 | 1 << 16, 5)];
        let part = RoutePart { hops, ..RoutePart::default() };
        let route = Route { parts: vec![part.clone(), part], ..Route::default() };
        let answer = BuildRouteResponse { route: Some(route.clone()) };
        assert_eq!(parse(&json(&route).to_string()), Ok(route.clone()));
        assert_eq!(parse(&json(&answer).to_string()), Ok(route));
        for (bad, why) in [
            ("{", "EOF"),
            ("{}", "no list `parts`"),
            (r#"{"parts":[{}]}"#, "no list `hops`"),
            (r#"{"parts":[{"hops":[{}]}]}"#, "node_id"),
        ] {
            let said = parse(bad).expect_err("it is no route");
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
