//! LoRAs.

use greenroom_domain::{Character, Digest, LoraMade, LoraNaming, LoraPrecision, LoraTier, LoraVersion, Project};
use greenroom_proto::v1::{self, lora_service_server::LoraService};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{invalid, ledger, not_found, store},
};
use crate::{
    access,
    learn::{self, Wanted},
};

impl Api {
    /// The character of a resource name, with its project.
    async fn character_of(&self, name: &str) -> Result<(Project, Character), Status> {
        let project = self.project(name).await?;
        let id = convert::segment(name, "characters")?.to_uppercase();
        let character = self.0.store.character_by_name(project.id, &id).await.map_err(store)?;
        let character = character.ok_or_else(|| not_found("character", &id))?;
        access::about_part("characters", character.id);
        Ok((project, character))
    }

    /// Makes the job that makes something of a LoRA that is there.
    async fn turn(&self, character: &str, wanted: Wanted) -> Result<Response<v1::TrainLoraResponse>, Status> {
        let _pushing = self.0.forgetting.read().await;
        let (project, character) = self.character_of(character).await?;
        let made = learn::turn(&self.0, &project, &character, wanted).await.map_err(|e| ledger(&e))?;
        let job = Some(self.show_job(&project, &made.value, true).await?);
        Ok(Response::new(v1::TrainLoraResponse { job, created: made.created }))
    }
}

#[tonic::async_trait]
impl LoraService for Api {
    async fn train_lora(
        &self,
        request: Request<v1::TrainLoraRequest>,
    ) -> Result<Response<v1::TrainLoraResponse>, Status> {
        let _pushing = self.0.forgetting.read().await;
        let request = request.into_inner();
        let (project, character) = self.character_of(&request.character).await?;
        let tier = tier(&request.tier)?;
        let made =
            learn::train(&self.0, &project, &character, tier, request.text_alone).await.map_err(|e| ledger(&e))?;
        let job = Some(self.show_job(&project, &made.value, true).await?);
        Ok(Response::new(v1::TrainLoraResponse { job, created: made.created }))
    }

    async fn add_lora(&self, request: Request<v1::AddLoraRequest>) -> Result<Response<v1::TrainLoraResponse>, Status> {
        let request = request.into_inner();
        let lora: Digest = request.digest.parse().map_err(|_| {
            invalid(
                "add LoRA",
                &request.file_name,
                "its digest is no SHA-256",
                "send the file with `greenroom lora add`",
            )
        })?;
        let name = request.file_name;
        self.turn(&request.character, Wanted::Given { name, lora }).await
    }

    async fn shrink_lora(
        &self,
        request: Request<v1::ShrinkLoraRequest>,
    ) -> Result<Response<v1::TrainLoraResponse>, Status> {
        let v1::ShrinkLoraRequest { character, number, rank } = request.into_inner();
        self.turn(&character, Wanted::Shrunk { of: number, rank }).await
    }

    async fn export_lora(
        &self,
        request: Request<v1::ExportLoraRequest>,
    ) -> Result<Response<v1::TrainLoraResponse>, Status> {
        let v1::ExportLoraRequest { character, number, naming, precision } = request.into_inner();
        let refuse = |word: &str, remedy| invalid("export LoRA", word, "there is no such way to write it", remedy);
        let naming = if naming.is_empty() { Some(LoraNaming::default()) } else { LoraNaming::parse(&naming) }
            .ok_or_else(|| refuse(&naming, "say kohya or peft"))?;
        let precision =
            if precision.is_empty() { Some(LoraPrecision::default()) } else { LoraPrecision::parse(&precision) }
                .ok_or_else(|| refuse(&precision, "say f32, f16 or bf16"))?;
        self.turn(&character, Wanted::Exported { of: number, naming, precision }).await
    }

    async fn list_loras(
        &self,
        request: Request<v1::ListLorasRequest>,
    ) -> Result<Response<v1::ListLorasResponse>, Status> {
        let (project, character) = self.character_of(&request.into_inner().parent).await?;
        Ok(Response::new(listed(&project, &character)))
    }

    async fn deploy_lora(
        &self,
        request: Request<v1::DeployLoraRequest>,
    ) -> Result<Response<v1::ListLorasResponse>, Status> {
        let request = request.into_inner();
        let (project, character) = self.character_of(&request.character).await?;
        let changed = learn::deploy(&self.0, &project, &character.name, request.number).await;
        Ok(Response::new(listed(&project, &changed.map_err(|e| ledger(&e))?)))
    }
}

fn tier(text: &str) -> Result<Option<LoraTier>, Status> {
    let tiers = [LoraTier::Low, LoraTier::Standard, LoraTier::High];
    match tiers.into_iter().find(|tier| tier.name() == text) {
        None if !text.is_empty() => {
            Err(invalid("train LoRA", text, "there is no such tier", "say low, standard or high"))
        }
        tier => Ok(tier),
    }
}

fn listed(project: &Project, character: &Character) -> v1::ListLorasResponse {
    let parent = format!("projects/{}", project.name);
    v1::ListLorasResponse { loras: character.loras.iter().map(|version| lora(&parent, character, version)).collect() }
}

fn lora(project: &str, character: &Character, version: &LoraVersion) -> v1::Lora {
    let (recipe, proof) = (&version.recipe, &version.proof);
    let (shrunk_from, given_as) = match &version.made {
        LoraMade::Trained => (0, String::new()),
        LoraMade::Shrunk { of } => (*of, String::new()),
        LoraMade::Given { name } => (0, name.clone()),
    };
    v1::Lora {
        name: format!("{project}/characters/{}/loras/{}", character.name, version.number),
        number: version.number,
        active: version.state.is_active(),
        reasons: version.state.reasons().to_vec(),
        digest: version.lora.to_string(),
        dataset_digest: version.dataset.to_string(),
        sheet_digest: version.sheet.to_string(),
        character_revision: version.revision,
        job: format!("{project}/jobs/{}", version.job),
        recipe: Some(v1::lora::Recipe {
            rank: recipe.rank,
            alpha: recipe.alpha,
            steps: recipe.steps,
            resolution: recipe.resolution,
            learning_rate: recipe.learning_rate,
            convolutions: recipe.convolutions,
        }),
        proof: Some(v1::lora::Proof {
            against: proof.against.unwrap_or_default(),
            pictures: proof.pictures,
            before: proof.before,
            after: proof.after,
            gain_lower: proof.gain_lower,
            adherence_before: proof.adherence.map(|adherence| adherence.0),
            adherence_after: proof.adherence.map(|adherence| adherence.1),
            diversity_before: proof.diversity.0,
            diversity_after: proof.diversity.1,
            copies: proof.copies,
            text_alone: proof.text_alone,
            accepted_before: proof.accepted.0,
            accepted_after: proof.accepted.1,
        }),
        create_time: convert::time(version.created),
        shrunk_from,
        given_as,
    }
}
