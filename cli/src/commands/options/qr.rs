//! A text as a QR code at a terminal: what `--qr` shows.
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::failure::Failure;
use crate::render::Screen;

/// Shows a text as a QR code; machines get none.
///
/// Letters are shown as capitals, which need half the room: Bech32 reads them alike (BIP 173).
pub fn show(screen: &Screen, text: &str) -> Result<(), Failure> {
    if screen.json {
        return Ok(());
    }
    let code = drawn(&text.to_ascii_uppercase())
        .ok_or_else(|| Failure::failed("this is too long for a QR code"))?;
    screen.text(&code)
}

/// Light on dark, as most terminals are; cameras read both.
fn drawn(text: &str) -> Option<String> {
    let code = QrCode::new(text.as_bytes()).ok()?;
    let (dark, light) = (Dense1x2::Light, Dense1x2::Dark);
    Some(code.render::<Dense1x2>().dark_color(dark).light_color(light).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_with_half_blocks_and_too_much_is_none() {
        let code = drawn("LNBCRT1ABC").expect("it fits");
        assert!(code.contains('▀') && code.contains('▄'), "{code}");
        assert!(code.lines().count() > 12, "{code}");
        assert_eq!(drawn(&"X".repeat(5_000)), None);
    }
}
