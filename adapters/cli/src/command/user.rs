//! `greenroom user`

use clap::{Args, Subcommand};
use greenroom_domain::Role;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{
    connection::Farm,
    failure::{Failure, Outcome},
    json,
    names::{self, ProjectName},
};

/// Add people, and say what each may do: for administrators.
///
/// viewer looks and pulls; artist makes characters, pushes, trains; supervisor decides which LoRA is in force and who is
/// forgotten; admin does everything on the whole farm. Who has a role has those before it.
#[derive(Args, Debug)]
pub(crate) struct User {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a user; `greenroom token create --user NAME` makes a token for it
    Add {
        /// Lower-case letters, digits, dots, dashes and underscores
        name: String,
        /// Its first role
        #[arg(long)]
        role: Option<Role>,
        /// The project where it has that role; admin has none
        #[arg(long, value_name = "NAME", requires = "role")]
        project: Option<ProjectName>,
    },
    /// Name every user and what it may do
    List,
    /// Remove a user and revoke its tokens
    Remove {
        /// Which
        name: String,
    },
    /// Say what a user may do
    Role {
        /// Which
        name: String,
        /// viewer, artist, supervisor, admin, or none
        role: Given,
        /// The project where it has that role; admin has none
        #[arg(long, value_name = "NAME")]
        project: Option<ProjectName>,
    },
}

/// A role, or none.
#[derive(Clone, Copy, Debug)]
struct Given(Option<Role>);

impl std::str::FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|role| Self(Some(role))) }
    }
}

impl User {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let users = self.call(&farm).await;
        let users = match users {
            Ok(users) => users,
            Err(status) => return Err(Failure::from(farm.problem(status).await)),
        };
        let lines = users.iter().map(line).collect::<Vec<_>>();
        match &self.what {
            What::List if users.is_empty() => context.output.answer(&serde_json::json!([]), &["no users".to_owned()]),
            What::List => context.output.answer(&users.iter().map(json::user).collect(), &lines),
            What::Remove { name } => {
                let lines = [format!("{name} is removed, and its tokens are revoked")];
                context.output.answer(&users.iter().map(json::user).collect::<Vec<_>>()[0], &lines);
            }
            What::Add { .. } | What::Role { .. } => {
                context.output.answer(&users.iter().map(json::user).collect::<Vec<_>>()[0], &lines);
            }
        }
        Ok(Outcome::Complete)
    }

    /// The users that the answer is about; one but for a list.
    async fn call(&self, farm: &Farm) -> Result<Vec<v1::User>, tonic::Status> {
        let named = |name: &String| format!("users/{name}");
        let role = |role: &Option<Role>| role.map(|role| role.to_string()).unwrap_or_default();
        let project = |project: &Option<ProjectName>| project.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut users = farm.users();
        let one = match &self.what {
            What::List => return Ok(users.list_users(v1::ListUsersRequest {}).await?.into_inner().users),
            What::Add { name, role: first, project: of } => {
                let (user_id, role, project) = (name.clone(), role(first), project(of));
                users.create_user(v1::CreateUserRequest { user_id, role, project }).await?
            }
            What::Remove { name } => users.delete_user(v1::DeleteUserRequest { name: named(name) }).await?,
            What::Role { name, role: Given(given), project: of } => {
                let (name, role, project) = (named(name), role(given), project(of));
                users.set_role(v1::SetRoleRequest { name, role, project }).await?
            }
        };
        Ok(vec![one.into_inner()])
    }
}

fn line(user: &v1::User) -> String {
    format!("{}  {}", names::last(&user.name), may(user.admin, &user.roles))
}

/// `admin`, or `lab: artist, moon: viewer`.
pub(super) fn may(admin: bool, roles: &std::collections::HashMap<String, String>) -> String {
    let mut parts: Vec<_> = roles.iter().map(|(project, role)| format!("{project}: {role}")).collect();
    parts.sort();
    if admin {
        return "admin".to_owned();
    }
    if parts.is_empty() { "member of no project".to_owned() } else { parts.join(", ") }
}
