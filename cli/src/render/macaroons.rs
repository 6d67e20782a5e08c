//! Macaroons for people.
use std::path::Path;

use fulmen_proto::v1::{
    BakeMacaroonResponse, InspectMacaroonResponse, Macaroon, RevokeMacaroonResponse,
};

use crate::format::human;
use crate::format::table::{Column, Facts, Look, Tone, id, table, time, toned, words};

/// A macaroon that was just made.
pub fn baked(baked: &BakeMacaroonResponse, saved: Option<&Path>, look: Look) -> String {
    let info = baked.info.clone().unwrap_or_default();
    let facts = Facts::new(look)
        .add("macaroon id", human::hex(&info.macaroon_id))
        .add("name", human::or_none(&human::one_line(&info.name)))
        .add("allows", allowed(&info.caveats));
    format!("{}{}\n", facts.lines(), handed_out(&baked.macaroon, saved))
}

/// The macaroon itself, or where it is.
pub fn handed_out(macaroon: &[u8], saved: Option<&Path>) -> String {
    match saved {
        Some(file) => format!("Saved in {}", human::one_line(&file.display().to_string())),
        None => human::hex(macaroon),
    }
}

/// The macaroons that were baked.
pub fn list(macaroons: &[Macaroon], look: Look) -> String {
    let columns = [
        Column::Left("macaroon id"),
        Column::Left("name"),
        Column::Left("made"),
        Column::Left("state"),
        Column::Left("allows"),
    ];
    let rows = macaroons.iter().map(|it| {
        let state = match (it.revoked_at, it.root_key_retired) {
            (0, false) => toned("accepted", Tone::Good),
            (0, true) => toned("rotated away", Tone::Bad),
            (_, _) => toned("revoked", Tone::Bad),
        };
        let allows = words(&allowed(&it.caveats));
        [id(&it.macaroon_id), words(&it.name), time(it.created_at), state, allows]
    });
    table(look, columns, rows.collect())
}

/// What a macaroon allows.
pub fn inspected(inspected: &InspectMacaroonResponse, look: Look) -> String {
    let info = inspected.info.clone().unwrap_or_default();
    let (state, tone) = match inspected.problem.as_str() {
        "" => ("accepted".to_owned(), Tone::Good),
        problem => (human::one_line(problem), Tone::Bad),
    };
    let mut facts = Facts::new(look)
        .add("macaroon id", human::hex(&info.macaroon_id))
        .add("name", human::or_none(&human::one_line(&info.name)));
    if info.created_at > 0 {
        facts = facts.add("made", human::time(info.created_at));
    }
    if info.revoked_at > 0 {
        facts = facts.add("revoked", human::time(info.revoked_at));
    }
    facts
        .add("root key", info.root_key.to_string())
        .add_toned("state", &state, tone)
        .add("allows", allowed(&inspected.caveats))
        .lines()
}

/// What became of a macaroon that was revoked.
pub fn revoked(revoked: &RevokeMacaroonResponse) -> String {
    let info = revoked.info.clone().unwrap_or_default();
    let name = match info.name.as_str() {
        "" => String::new(),
        name => format!(" ({})", human::one_line(name)),
    };
    format!("Revoked {}{name}", human::hex(&info.macaroon_id))
}

fn allowed(caveats: &[String]) -> String {
    match caveats {
        [] => "everything".to_owned(),
        caveats => human::one_line(&caveats.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_what_each_allows_and_whether_it_is_accepted() {
        let shop = Macaroon {
            macaroon_id: vec![7; 16],
            name: "shop".to_owned(),
            caveats: vec!["permission = info:read".to_owned(), "before = 5".to_owned()],
            ..Default::default()
        };
        let revoked = Macaroon { revoked_at: 9, caveats: Vec::new(), ..shop.clone() };
        let retired = Macaroon { root_key_retired: true, ..shop.clone() };
        let shown = list(&[shop, revoked, retired], Look::default());
        let lines: Vec<&str> = shown.lines().skip(2).collect();
        assert!(lines[0].contains("permission = info:read; before = 5"), "{shown}");
        for (line, state) in lines.iter().zip(["accepted", "revoked", "rotated away"]) {
            assert!(line.contains(state) && line.contains("shop"), "{state} in\n{shown}");
        }
        assert!(lines[1].contains("everything"), "{shown}");
    }

    #[test]
    fn a_macaroon_that_is_not_accepted_says_why() {
        let sample = InspectMacaroonResponse {
            info: Some(Macaroon { macaroon_id: vec![7; 16], ..Default::default() }),
            caveats: Vec::new(),
            problem: "the macaroon was revoked".to_owned(),
        };
        let shown = inspected(&sample, Look::default());
        assert!(
            shown.contains("the macaroon was revoked") && shown.contains("everything"),
            "{shown}"
        );
    }
}
