//! Tokens and where they come from.
//!
//! A token is a [`Token`], which no text and no log can hold. [`find`] asks the sources in a fixed order; [`DeviceLogin`]
//! gets a new one, which [`keep`] stores for its owner alone.

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
