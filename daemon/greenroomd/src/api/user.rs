//! Users.

use greenroom_domain::{Holder, Project, ProjectId, Role, Token, User};
use greenroom_proto::v1::{self, user_service_server::UserService};
use greenroom_store::{Batch, Change, StoreError, Unique};
use std::collections::{BTreeMap, HashMap};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{exists, invalid, not_found, store},
};
use crate::{access, clock};

impl Api {
    /// The user of a resource name.
    pub(super) async fn user(&self, name: &str) -> Result<User, Status> {
        let id = convert::segment(name, "users")?;
        let user = self.0.store.user_by_name(id).await.map_err(store)?.ok_or_else(|| not_found("user", id))?;
        access::about(format!("users/{id}"));
        Ok(user)
    }

    async fn show_user(&self, user: &User) -> Result<v1::User, Status> {
        Ok(v1::User {
            name: format!("users/{}", user.name),
            uid: user.id.to_string(),
            admin: user.admin,
            roles: self.roles(&user.members).await?,
            create_time: convert::time(user.created),
        })
    }

    /// By the projects' names.
    async fn roles(&self, members: &BTreeMap<ProjectId, Role>) -> Result<HashMap<String, String>, Status> {
        let mut roles = HashMap::new();
        for (&project, role) in members {
            if let Some(project) = self.0.store.project(project).await.map_err(store)? {
                roles.insert(project.name, role.to_string());
            }
        }
        Ok(roles)
    }

    /// Gives a role, or takes it away.
    async fn appoint(&self, user: &mut User, role: &str, project: &str) -> Result<(), Status> {
        let refuse = |cause: &str, remedy: &str| invalid("set role", role, cause, remedy);
        let role = if role.is_empty() { None } else { Some(role.parse::<Role>()) };
        let role = role.transpose().map_err(|cause| refuse(&cause, "say one of these"))?;
        if project.is_empty() {
            match role {
                None => user.admin = false,
                Some(Role::Admin) => user.admin = true,
                Some(_) => return Err(refuse("it is a role in a project, and none is named", "add --project NAME")),
            }
            return Ok(());
        }
        let Project { id, .. } = self.project(project).await?;
        match role {
            None => user.members.remove(&id),
            Some(Role::Admin) => {
                return Err(refuse(
                    "an administrator is one of the whole farm",
                    "leave --project out, or say supervisor",
                ));
            }
            Some(role) => user.members.insert(id, role),
        };
        Ok(())
    }
}

#[tonic::async_trait]
impl UserService for Api {
    async fn create_user(&self, request: Request<v1::CreateUserRequest>) -> Result<Response<v1::User>, Status> {
        let v1::CreateUserRequest { user_id: name, role, project } = request.into_inner();
        if !User::is_name(&name) {
            let cause = "a name has 1 to 63 lower-case letters, digits, dots, dashes and underscores, and begins with one \
                         of the first two";
            return Err(invalid("create user", &name, cause, "choose another name"));
        }
        let (id, members) = (clock::new_user(), BTreeMap::new());
        let mut user = User { id, name, admin: false, members, created: clock::now(), removed: None };
        if !role.is_empty() || !project.is_empty() {
            self.appoint(&mut user, &role, &project).await?;
        }
        access::about(format!("users/{}", user.name));
        match self.0.commit(Batch::new().change(Change::InsertUser(user.clone()))).await {
            Err(StoreError::Exists(Unique::User { name })) => {
                Err(exists("create user", &name, "choose another name, or give that user the role"))
            }
            Err(error) => Err(store(error)),
            Ok(()) => Ok(Response::new(self.show_user(&user).await?)),
        }
    }

    async fn list_users(&self, _: Request<v1::ListUsersRequest>) -> Result<Response<v1::ListUsersResponse>, Status> {
        let mut users = Vec::new();
        for user in self.0.store.users().await.map_err(store)? {
            users.push(self.show_user(&user).await?);
        }
        Ok(Response::new(v1::ListUsersResponse { users }))
    }

    async fn set_role(&self, request: Request<v1::SetRoleRequest>) -> Result<Response<v1::User>, Status> {
        let v1::SetRoleRequest { name, role, project } = request.into_inner();
        let _turn = self.0.writing.lock().await;
        let mut user = self.user(&name).await?;
        self.appoint(&mut user, &role, &project).await?;
        access::about(format!("users/{}", user.name));
        self.0.commit(Batch::new().change(Change::UpdateUser(user.clone()))).await.map_err(store)?;
        Ok(Response::new(self.show_user(&user).await?))
    }

    async fn delete_user(&self, request: Request<v1::DeleteUserRequest>) -> Result<Response<v1::User>, Status> {
        let _turn = self.0.writing.lock().await;
        let user = self.user(&request.into_inner().name).await?;
        let now = clock::now();
        let mut batch = Batch::new();
        for token in self.0.store.tokens().await.map_err(store)? {
            let open = token.revoked.is_none() && token.used.is_none();
            if open && token.holder == (Holder::User { user: user.id }) {
                batch = batch.change(Change::UpdateToken(Token { revoked: Some(now), ..token }));
            }
        }
        let shown = self.show_user(&user).await?;
        let gone = User { removed: Some(now), ..user };
        self.0.commit(batch.change(Change::UpdateUser(gone))).await.map_err(store)?;
        Ok(Response::new(shown))
    }

    async fn who_am_i(&self, _: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let caller = access::caller().ok_or_else(|| Status::internal("nobody's call"))?;
        let roles = match &caller {
            access::Caller::User { user, .. } => self.roles(&user.members).await?,
            _ => HashMap::new(),
        };
        let token = caller.token();
        Ok(Response::new(v1::WhoAmIResponse {
            user: caller.name().to_owned(),
            admin: caller.is_admin(),
            roles,
            token: token.map(|t| t.id.to_string()).unwrap_or_default(),
            expire_time: token.and_then(|t| t.expires).and_then(convert::time),
        }))
    }
}
