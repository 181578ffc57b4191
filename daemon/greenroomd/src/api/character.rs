//! Characters.

use greenroom_domain::{Character, CharacterState, Digest, Project};
use greenroom_proto::v1::{self, character_service_server::CharacterService};
use tonic::{Request, Response, Status};

use super::{
    Api, convert, receipt,
    status::{ledger, not_found, status, store},
};
use crate::{
    access, forget,
    push::{self, NewCharacter},
};

impl Api {
    /// Those of the digests that the farm lacks.
    pub(super) async fn missing(&self, digests: &[Digest]) -> Result<Vec<String>, Status> {
        let mut missing = Vec::new();
        for &digest in digests {
            let here = self.0.artifacts.has(digest).await;
            if !here.map_err(|e| Status::unavailable(format!("look up artifact: {digest}: {e}")))? {
                missing.push(digest.to_string());
            }
        }
        Ok(missing)
    }

    async fn show(&self, project: &Project, character: &Character) -> Result<v1::Character, Status> {
        let job = match &character.state {
            CharacterState::Profiling { task } => {
                let task = self.0.store.task(*task).await.map_err(store)?;
                task.map(|t| format!("projects/{}/jobs/{}", project.name, t.job))
            }
            CharacterState::Ready { .. } | CharacterState::Refused { .. } => None,
        };
        Ok(convert::character(&project.name, character, job, &self.0.pack))
    }
}

#[tonic::async_trait]
impl CharacterService for Api {
    async fn create_character(
        &self,
        request: Request<v1::CreateCharacterRequest>,
    ) -> Result<Response<v1::CreateCharacterResponse>, Status> {
        let _pushing = self.0.forgetting.read().await;
        let request = request.into_inner();
        let project = self.project(&request.parent).await?;
        let consent = request.consent.map(convert::consent).transpose()?;
        let references = request.references.into_iter().map(|r| Ok((r.file_name, convert::digest(&r.digest)?)));
        let references = references.collect::<Result<Vec<_>, Status>>()?;
        let document = consent.as_ref().and_then(|c| c.document.as_ref()).map(|d| d.digest);
        let needed: Vec<_> = references.iter().map(|(_, d)| *d).chain(document).collect();
        let missing_digests = self.missing(&needed).await?;
        if !missing_digests.is_empty() {
            return Ok(Response::new(v1::CreateCharacterResponse { missing_digests, ..Default::default() }));
        }
        let (name, description, real_person) = (request.character_id, request.description, request.real_person);
        let asked = NewCharacter { name, description, references, real_person, consent };
        let pushed = push::character(&self.0, &project, asked).await.map_err(|e| ledger(&e))?;
        let character = Some(self.show(&project, &pushed.value).await?);
        Ok(Response::new(v1::CreateCharacterResponse { character, created: pushed.created, missing_digests: vec![] }))
    }

    async fn get_character(
        &self,
        request: Request<v1::GetCharacterRequest>,
    ) -> Result<Response<v1::Character>, Status> {
        let name = request.into_inner().name;
        let project = self.project(&name).await?;
        let id = convert::segment(&name, "characters")?;
        let character = self.0.store.character_by_name(project.id, id).await.map_err(store)?;
        let Some(character) = character else {
            let stone = self.0.stone(&project, id).await.map_err(|e| ledger(&e))?;
            let remedy = "ask `greenroom character forget` again for the proof, or make a new character of that name";
            let gone = |stone| status(&forget::gone("find character", id, &stone, remedy));
            return Err(stone.map_or_else(|| not_found("character", id), gone));
        };
        Ok(Response::new(self.show(&project, &character).await?))
    }

    async fn forget_character(
        &self,
        request: Request<v1::ForgetCharacterRequest>,
    ) -> Result<Response<v1::ForgetCharacterResponse>, Status> {
        let name = request.into_inner().name;
        let project = self.project(&name).await?;
        let id = convert::segment(&name, "characters")?.to_uppercase();
        if let Some(character) = self.0.store.character_by_name(project.id, &id).await.map_err(store)? {
            access::about_part("characters", character.id);
        }
        // Apart from the call, so that a caller who leaves does not leave it half done.
        let farm = self.0.clone();
        let forgetting = tokio::spawn(access::carry(async move { farm.forget(&project, &id).await }));
        let receipt = forgetting.await.map_err(|e| Status::internal(format!("forget character: {e}")))?;
        let receipt = receipt::receipt(&receipt.map_err(|e| ledger(&e))?);
        Ok(Response::new(v1::ForgetCharacterResponse { receipt: Some(receipt) }))
    }

    async fn list_characters(
        &self,
        request: Request<v1::ListCharactersRequest>,
    ) -> Result<Response<v1::ListCharactersResponse>, Status> {
        let project = self.project(&request.into_inner().parent).await?;
        let mut characters = Vec::new();
        for character in self.0.store.characters(project.id).await.map_err(store)? {
            characters.push(self.show(&project, &character).await?);
        }
        Ok(Response::new(v1::ListCharactersResponse { characters }))
    }
}
