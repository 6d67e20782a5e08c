//! The `Access` service.

use fulmen_proto::v1;
use tonic::{Code, Request, Response, Status};

use super::convert::fields;
use crate::access::identifier::MacaroonId;
use crate::access::macaroon::{MAX_BYTES, Macaroon};
use crate::access::{self, Access, Error, Inspected, MacaroonRecord};
use crate::api::auth::caller_of;
use crate::api::not_admitted::not_admitted;
use crate::api::status::{internal, malformed, refuse, unknown};
use crate::storage;

const MAX_NAME_BYTES: usize = 100;

/// Serves `fulmen.v1.Access`.
#[derive(Clone)]
pub struct AccessService {
    /// The room that it serves.
    pub access: Access,
}

#[tonic::async_trait]
impl v1::access_server::Access for AccessService {
    async fn bake(
        &self,
        request: Request<v1::BakeMacaroonRequest>,
    ) -> Result<Response<v1::BakeMacaroonResponse>, Status> {
        let caller = caller_of(&request)?;
        let v1::BakeMacaroonRequest { name, caveats } = request.into_inner();
        if name.len() > MAX_NAME_BYTES {
            let words = format!("has {} bytes, more than {MAX_NAME_BYTES}", name.len());
            return Err(malformed("name", words));
        }
        let baked = self.access.bake(&caller, &name, &caveats).await;
        let (macaroon, record) = baked.map_err(refused)?;
        Ok(Response::new(v1::BakeMacaroonResponse {
            macaroon: macaroon.encode(),
            info: Some(self.info(record)),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListMacaroonsRequest>,
    ) -> Result<Response<v1::ListMacaroonsResponse>, Status> {
        let page = fields::page(request.into_inner().page)?;
        let page = self.access.page(&page.token, page.limit).map_err(refused)?;
        let macaroons = page.items.into_iter().map(|(_, record)| self.info(record));
        Ok(Response::new(v1::ListMacaroonsResponse {
            macaroons: macaroons.collect(),
            next_page_token: page.next_token,
        }))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectMacaroonRequest>,
    ) -> Result<Response<v1::InspectMacaroonResponse>, Status> {
        let macaroon = read(&request.into_inner().macaroon)?;
        let Inspected { identifier, record, problem } =
            self.access.inspect(&macaroon).map_err(refused)?;
        let info = match record {
            Some(record) => self.info(record),
            None => v1::Macaroon {
                macaroon_id: identifier.id.0.to_vec(),
                root_key: identifier.root_key,
                root_key_retired: !self.access.has_key(identifier.root_key),
                ..Default::default()
            },
        };
        Ok(Response::new(v1::InspectMacaroonResponse {
            info: Some(info),
            caveats: access::texts(&macaroon),
            problem: problem.map(|problem| problem.to_string()).unwrap_or_default(),
        }))
    }

    async fn attenuate(
        &self,
        request: Request<v1::AttenuateMacaroonRequest>,
    ) -> Result<Response<v1::AttenuateMacaroonResponse>, Status> {
        let v1::AttenuateMacaroonRequest { macaroon, caveats } = request.into_inner();
        let weaker = self.access.attenuate(read(&macaroon)?, &caveats).map_err(refused)?;
        Ok(Response::new(v1::AttenuateMacaroonResponse { macaroon: weaker.encode() }))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeMacaroonRequest>,
    ) -> Result<Response<v1::RevokeMacaroonResponse>, Status> {
        let caller = caller_of(&request)?;
        let id = request.into_inner().macaroon_id;
        let id = id.try_into().map_err(|_| malformed("macaroon_id", "must have 16 bytes"))?;
        let record = self.access.revoke(&caller, MacaroonId(id)).await.map_err(refused)?;
        Ok(Response::new(v1::RevokeMacaroonResponse { info: Some(self.info(record)) }))
    }

    async fn rotate_root_key(
        &self,
        _: Request<v1::RotateRootKeyRequest>,
    ) -> Result<Response<v1::RotateRootKeyResponse>, Status> {
        let root_key = tokio::task::block_in_place(|| self.access.rotate()).map_err(refused)?;
        Ok(Response::new(v1::RotateRootKeyResponse { root_key }))
    }
}

impl AccessService {
    fn info(&self, record: MacaroonRecord) -> v1::Macaroon {
        v1::Macaroon {
            macaroon_id: record.id.0.to_vec(),
            name: record.name,
            caveats: record.caveats,
            created_at: record.created_at,
            revoked_at: record.revoked_at.unwrap_or(0),
            root_key: record.root_key,
            root_key_retired: !self.access.has_key(record.root_key),
        }
    }
}

fn read(bytes: &[u8]) -> Result<Macaroon, Status> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed("macaroon", "is longer than any that is accepted"));
    }
    Macaroon::decode(bytes).map_err(|error| malformed("macaroon", error))
}

fn refused(error: Error) -> Status {
    match error {
        Error::BadCaveat(_) => malformed("caveats", error),
        Error::TooLong(_) => malformed("caveats", error),
        Error::RevokesItself => refuse(
            Code::FailedPrecondition,
            "REVOKES_ITSELF",
            "the call is made with this very macaroon: nobody would be left to call",
        ),
        Error::Unknown => unknown("MACAROON_UNKNOWN", error.to_string()),
        // The macaroon in the request, not that of the call.
        Error::NotAdmitted(error) => malformed("macaroon", not_admitted(&error).message()),
        Error::Store(storage::Error::BadToken) => malformed("page_token", "is not one of a page"),
        Error::Files(_) | Error::Store(_) => internal(&error),
    }
}
