//! A stranger's connection: TCP, the handshake, and whole messages.
use std::time::Duration;

use anyhow::{Context as _, Result};
use bitcoincore_rpc::bitcoin::secp256k1::PublicKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::messages;
use super::noise::{ACT_TWO, Ciphers, Handshake, LENGTH, secret};
use crate::chaos::Chance;

/// A peer whose handshake is done.
pub struct Peer {
    stream: TcpStream,
    ciphers: Ciphers,
    /// The rest of a message of which only the length has come.
    expected: Option<usize>,
    buffer: Vec<u8>,
}

impl Peer {
    /// Connects as somebody nobody has met.
    pub async fn connect(address: &str, theirs: &PublicKey, chance: &mut Chance) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await.context("connecting")?;
        let (ours, ephemeral) = (secret(chance)?, secret(chance)?);
        let (first, handshake) = Handshake::begin(ours, ephemeral, theirs)?;
        stream.write_all(&first).await?;
        let mut second = [0; ACT_TWO];
        stream.read_exact(&mut second).await.context("waiting for the second act")?;
        let (third, ciphers) = handshake.finish(&second)?;
        stream.write_all(&third).await?;
        Ok(Self { stream, ciphers, expected: None, buffer: Vec::new() })
    }

    /// Sends our `init`; theirs is read with everything else.
    pub async fn greet(&mut self) -> Result<()> {
        self.send(&messages::init()).await
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &[u8]) -> Result<()> {
        let wire = self.ciphers.encrypt(message)?;
        self.stream.write_all(&wire).await.context("sending")
    }

    /// Reads whole messages until none has come for so long, and returns them.
    pub async fn read_what_is_there(&mut self, patience: Duration) -> Result<Vec<Vec<u8>>> {
        let mut messages = Vec::new();
        let mut bytes = [0; 16_384];
        loop {
            match tokio::time::timeout(patience, self.stream.read(&mut bytes)).await {
                Err(_) => return Ok(messages),
                Ok(length) => {
                    let length = length.context("reading")?;
                    anyhow::ensure!(length > 0, "the other side has closed the connection");
                    self.buffer.extend_from_slice(&bytes[..length]);
                }
            }
            while let Some(message) = self.take()? {
                messages.push(message);
            }
        }
    }

    fn take(&mut self) -> Result<Option<Vec<u8>>> {
        let expected = match self.expected {
            Some(expected) => expected,
            None => {
                let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH>() else {
                    return Ok(None);
                };
                let expected = self.ciphers.length(length)?;
                self.buffer = rest.to_vec();
                self.expected = Some(expected);
                expected
            }
        };
        if self.buffer.len() < expected {
            return Ok(None);
        }
        let rest = self.buffer.split_off(expected);
        let message = self.ciphers.decrypt(&self.buffer)?;
        self.buffer = rest;
        self.expected = None;
        Ok(Some(message))
    }
}
