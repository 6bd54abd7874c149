//! Environments, deployments and reviews.

use super::checks::App;
use super::repository::User;
use super::words::{DeploymentState, RuleKind};
use super::{List, Message, Time, answers};

answers! {
    /// A deployment of a run that waits for protection rules.
    pub struct PendingDeployment {
        /// The environment.
        environment: EnvironmentName,
        /// Length of the wait timer in minutes; 0 without a timer.
        wait_timer: u64,
        /// Start of the wait timer.
        wait_timer_started_at: Time,
        /// Whether the user of the token may review it.
        current_user_can_approve: bool,
        /// Users and teams that may review it.
        reviewers: List<Reviewer>,
    }

    /// Name and id of an environment.
    pub struct EnvironmentName {
        /// Id of the environment.
        id: u64,
        /// Name.
        name: String,
        /// Page of the environment in a browser.
        html_url: String,
    }

    /// A user or team that may review.
    pub struct Reviewer {
        /// The user or team.
        reviewer: ReviewerName,
    }

    /// Name of a user or team.
    pub struct ReviewerName {
        /// Id of the user or team.
        id: u64,
        /// Name of a user.
        login: String,
        /// Name of a team in addresses.
        slug: String,
        /// Full name of a team.
        name: String,
    }

    /// A review of deployments of a run.
    pub struct Approval {
        /// Whether the deployments were approved or rejected.
        state: DeploymentState,
        /// Comment.
        comment: Message,
        /// Who reviewed.
        user: User,
        /// Environments that were reviewed.
        environments: List<EnvironmentName>,
    }

    /// An environment with its rules.
    pub struct Environment {
        /// Id of the environment.
        id: u64,
        /// Name.
        name: String,
        /// Page of the environment in a browser.
        html_url: String,
        /// Rules.
        protection_rules: List<ProtectionRule>,
        /// Restriction of branches and tags.
        deployment_branch_policy: BranchPolicy,
        /// Whether administrators may bypass the rules.
        can_admins_bypass: bool,
        /// Time at which the environment was created.
        created_at: Time,
        /// Time of the last change.
        updated_at: Time,
    }

    /// A rule of an environment.
    pub struct ProtectionRule {
        /// Id of the rule.
        id: u64,
        /// Kind.
        r#type: RuleKind,
        /// Length of a wait timer in minutes.
        wait_timer: u64,
        /// Whether the user who started a run is not allowed to review it.
        prevent_self_review: bool,
        /// Users and teams that may review.
        reviewers: List<Reviewer>,
        /// App of a custom rule.
        app: App,
        /// Whether a custom rule is enabled.
        enabled: bool,
    }

    /// Restriction of an environment to branches and tags.
    pub struct BranchPolicy {
        /// Whether only protected branches may deploy.
        protected_branches: bool,
        /// Whether patterns determine which branches and tags may deploy.
        custom_branch_policies: bool,
    }

    /// Pattern of branches or tags that may deploy.
    pub struct BranchPattern {
        /// The pattern.
        name: String,
    }

    /// A deployment.
    pub struct Deployment {
        /// Id of the deployment.
        id: u64,
        /// Id of the commit.
        sha: String,
        /// Branch, tag or commit as given.
        r#ref: String,
        /// Name of the environment.
        environment: String,
        /// Task of the deployment: `deploy`.
        task: String,
        /// What its creator stored with it.
        payload: Payload,
        /// Description.
        description: Message,
        /// Who created it.
        creator: User,
        /// Time at which it was created.
        created_at: Time,
        /// Time of the last change.
        updated_at: Time,
    }

    /// What cuelight stores with the deployments that it creates.
    pub struct Payload {
        /// Id of the run of the deployment.
        cuelight_run: String,
        /// The job of the run that deploys; missing if the run itself is the deployment.
        cuelight_job: String,
    }

    /// A state of a deployment.
    pub struct DeploymentStatus {
        /// Id of the status.
        id: u64,
        /// The state.
        state: DeploymentState,
        /// Who reported it.
        creator: User,
        /// Description.
        description: Message,
        /// Name of the environment.
        environment: String,
        /// URL of the deployed application.
        environment_url: String,
        /// URL of the log. For deployments of runs, it is the page of the job.
        log_url: String,
        /// The same URL in answers of earlier servers.
        target_url: String,
        /// Time of the report.
        created_at: Time,
    }
}

impl Reviewer {
    /// Returns the name of the user or team.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let named = self.reviewer.as_ref()?;
        named.login.clone().or_else(|| named.slug.clone()).or_else(|| named.name.clone())
    }
}
