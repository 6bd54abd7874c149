//! Tokens and where they come from.
//!
//! A [`Token`] can neither be printed nor logged. [`find`] tries the sources in a fixed order; [`DeviceLogin`] obtains
//! a new token, and [`keep`] stores it in a file that only its owner can read.

mod device;
mod error;
mod hosts_file;
mod sources;
mod status;
mod token;

pub use device::DeviceLogin;
pub use error::{AuthError, CommandFailure, LoginFailure};
pub use sources::{TokenSource, find, forget, keep};
pub use status::{HostStatus, status};
pub use token::Token;
