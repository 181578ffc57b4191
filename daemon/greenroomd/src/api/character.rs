//! Characters.

use greenroom_domain::{Character, CharacterState, Digest, Project};
use greenroom_proto::v1::{self, character_service_server::CharacterService};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{ledger, not_found, store},
};
use crate::push;

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
        let request = request.into_inner();
        let project = self.project(&request.parent).await?;
        let references = request.references.into_iter().map(|r| Ok((r.file_name, convert::digest(&r.digest)?)));
        let references = references.collect::<Result<Vec<_>, Status>>()?;
        let missing_digests = self.missing(&references.iter().map(|(_, d)| *d).collect::<Vec<_>>()).await?;
        if !missing_digests.is_empty() {
            return Ok(Response::new(v1::CreateCharacterResponse { missing_digests, ..Default::default() }));
        }
        let pushed = push::character(&self.0, &project, &request.character_id, &request.description, references);
        let pushed = pushed.await.map_err(|e| ledger(&e))?;
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
        let character = character.ok_or_else(|| not_found("character", id))?;
        Ok(Response::new(self.show(&project, &character).await?))
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
