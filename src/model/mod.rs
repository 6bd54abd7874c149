//! The vocabulary of the product: ids, facts (events and records), orders (commands), and the state that facts add up to.
//!
//! Everything else imports this module and this module imports nothing of ours. It holds no clock, no file and no
//! environment access: a [`Record`] carries the time it was written, so whoever folds records needs none.

pub mod capabilities;
mod command;
mod event;
mod explanation;
pub mod feed;
mod id;
mod nearest;
mod preview;
mod reason;
mod run;
mod service;
mod status;
mod summary;
mod time;

pub use command::{Command, Reply, RerunScope};
pub use event::{Annotation, Event, JobOutline, Level, LineRange, Record, Signal, StepKind, StepOutline};
pub use explanation::{Explanation, Outcome};
pub use id::{JobId, RunId, StepNumber};
pub use nearest::nearest;
pub use preview::{JobPreview, Preview, StepPreview};
pub use reason::EndReason;
pub use run::{Job, Run, RunInfo, Step};
pub use service::{Service, ServiceState};
pub use status::{Conclusion, Gate, Phase};
pub use summary::{Deployment, Summary};
pub use time::Timestamp;
