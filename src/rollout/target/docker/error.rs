//! Errors of the target in Docker.

use std::time::Duration;

use crate::engine::sandbox::docker::client::DockerError;
use crate::model::deployment::{NoTag, Slot, written};

/// Why containers or the router are not in the state that a step requires.
#[derive(Debug, thiserror::Error)]
pub enum DockerFault {
    /// The engine refused a request or did not answer.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// No engine answers at the address of a host.
    #[error("no Docker engine answers at {0}: start it, or remove the host from target.hosts")]
    NoEngine(
        /// The address, and why.
        String,
    ),
    /// The engine does not have the image of the router, and cannot fetch it.
    #[error(
        "the image {image} of the router is not here ({reason}): build it with `docker build -t {image} assets/deploy/router` \
         in cuelight's repository, or set target.router"
    )]
    RouterImage {
        /// The image.
        image: String,
        /// Why it cannot be fetched.
        reason: String,
    },
    /// The name of the image contains `{tag}`, and the release has no tag.
    #[error(transparent)]
    NoTag(#[from] NoTag),
    /// A variable of the containers has no value.
    #[error(
        "the variable {0} of target.env is not set here: set it where the deployment is started, or write {0}=VALUE"
    )]
    Variable(String),
    /// A container that does not belong to the environment has a name that the target needs.
    #[error("a container that cuelight did not start is named {0}: remove or rename it, or set another target.service")]
    NameTaken(String),
    /// A container that is not the router publishes the port of the router.
    #[error(
        "port {port} is published by the container {container} of {image}, which cuelight did not start: until the first \
         release is healthy the service is down, so stop it yourself with `docker stop {container}` and deploy again, or \
         set target.publish to a free port"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The container that publishes it.
        container: String,
        /// Image of the container.
        image: String,
    },
    /// The router cannot publish its port.
    #[error("the router cannot listen on port {port} ({reason}): stop what listens there, or set target.publish")]
    Port {
        /// The port.
        port: u16,
        /// Answer of the engine.
        reason: String,
    },
    /// The router publishes a port that is not the one in the settings.
    #[error(
        "the router {router} publishes port {published}, and target.publish is {wanted}: `docker rm -f {router}`, after which \
         the service is down until the next deployment, or set target.publish to {published}"
    )]
    OtherPort {
        /// Name of the router's container.
        router: String,
        /// Port that it publishes.
        published: String,
        /// Port in the settings.
        wanted: u16,
    },
    /// The router does not run.
    #[error("the router {router} ended: {lines}")]
    RouterEnded {
        /// Name of the router's container.
        router: String,
        /// Last lines of its log.
        lines: String,
    },
    /// The router refused a command, or its answer cannot be read.
    #[error("the router {router} could not carry out `{command}`: {answer}")]
    Command {
        /// Name of the router's container.
        router: String,
        /// The command.
        command: String,
        /// Answer of the router.
        answer: String,
    },
    /// The router did not answer.
    #[error("the router {router} did not answer within {}", written(*limit))]
    Silent {
        /// Name of the router's container.
        router: String,
        /// Time limit.
        limit: Duration,
    },
    /// The replicas cannot be weighted so that the slot gets this share.
    #[error(
        "{percent} % of the traffic cannot go to {slot}: it has {here} replicas that can take it, and the other slot {there}"
    )]
    Share {
        /// The slot.
        slot: Slot,
        /// Share in percent.
        percent: u8,
        /// Replicas of the slot.
        here: u32,
        /// Replicas of the other slot.
        there: u32,
    },
    /// The router uses no replica of the slot that was to get traffic.
    #[error("no traffic can go to {slot}: the router used none of its replicas for {}; of one of them, {check}", written(*limit))]
    Unused {
        /// The slot.
        slot: Slot,
        /// Time limit.
        limit: Duration,
        /// Last check of the router, in its words.
        check: String,
    },
    /// The slot gets traffic and runs a release that is not the one in the plan.
    #[error("{slot} gets traffic and runs {found}, not {wanted}: another deployment has filled it")]
    OtherRelease {
        /// The slot.
        slot: Slot,
        /// Commit that runs in the slot.
        found: String,
        /// Commit in the plan.
        wanted: String,
    },
    /// Another deployment holds the lock.
    #[error("another deployment to the environment is in progress ({0}): wait until it ends, which releases its lock")]
    Locked(String),
    /// Another deployment has held the lock for some time, and has released it now.
    #[error(
        "another deployment to the environment was in progress until now ({0}): nothing was changed; deploy again if this \
         release is to replace the one of that deployment"
    )]
    LockReleased(String),
    /// Another deployment has taken the lock, because this one could not renew it in time.
    #[error("the lock of the environment was lost to another deployment ({0}): nothing more is changed")]
    LockLost(String),
}

impl DockerFault {
    /// Whether neither the engine nor the router gave an answer that can be read, so that nothing is known about the replicas.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_unanswered(),
            Self::NoEngine(_) | Self::Silent { .. } | Self::Command { .. } => true,
            Self::RouterImage { .. }
            | Self::NoTag(_)
            | Self::Variable(_)
            | Self::NameTaken(_)
            | Self::PortTaken { .. }
            | Self::Port { .. }
            | Self::OtherPort { .. }
            | Self::RouterEnded { .. }
            | Self::Share { .. }
            | Self::Unused { .. }
            | Self::OtherRelease { .. }
            | Self::Locked(_)
            | Self::LockReleased(_)
            | Self::LockLost(_) => false,
        }
    }
}
