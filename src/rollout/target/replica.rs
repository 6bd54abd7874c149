//! What a target reports about one replica.

/// Whether a replica has ended, as its target reports it. A replica that ends again and again looks healthy in between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaState {
    /// Id among the replicas of all hosts. A replica that is made again has another one.
    pub id: String,
    /// Number of times that the engine has started it again after an end.
    pub restarts: u32,
    /// Whether it has ended, and does not run at the moment.
    pub is_down: bool,
    /// Its last end in words, if it has ended: `web-1 has ended`. [`super::Target::evidence`] has the details.
    pub end: String,
}
