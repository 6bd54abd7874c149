//! Data model: ids, events and records, commands, and the state of runs.
//!
//! All other modules import this module, and it imports none of them. It accesses no clock, file or environment: a
//! [`Record`] contains its time, so folding records needs no clock.

pub mod capabilities;
mod command;
pub mod deployment;
mod document;
pub mod environment;
mod event;
mod expected;
mod explanation;
pub mod feed;
mod id;
pub mod lane;
pub mod lane_details;
pub mod legs;
mod lookup;
mod names;
mod nearest;
mod one_line;
mod preview;
mod reason;
mod review;
pub mod rights;
pub mod rollback;
mod run;
pub mod service;
mod status;
pub mod stored;
mod summary;
mod tally;
pub mod testing;
mod time;
mod unavailable;
mod waiting;
mod working_tree;

pub use command::{Command, DeploymentOrder, HeldOrder, Reply, RerunScope};
pub use event::{Annotation, Event, JobOutline, Level, LineRange, Record, Signal, StepKind, StepOutline};
pub use expected::Expected;
pub use explanation::{Explanation, Outcome};
pub use id::{JobId, RunId, StepNumber};
pub use lookup::LookupError;
pub use names::{first_names, is_same_name, suggestion};
pub use nearest::{nearest, nearest_within};
pub use one_line::in_one_line;
pub use preview::{Preview, PreviewLine, Shown};
pub use reason::EndReason;
pub use review::{PendingReview, Review, ReviewRefusal, is_production};
pub use run::{Job, RemoteRun, RepositoryId, Run, RunInfo, RunnerLog, ServerKind, Step, is_near, short_sha};
pub use service::{Service, ServiceState};
pub use status::{Conclusion, FAILED_AND_HELD, Gate, Phase};
pub use summary::{Deployment, Summary};
pub use tally::JobState;
pub use time::{Timestamp, is_within};
pub use waiting::{GroupHolder, MatchingRunner, OpenNeed, Wait, WaitCause};
pub use working_tree::WorkingTree;
