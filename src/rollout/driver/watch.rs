//! Waits of a deployment: the pauses of its plan, and those that a person has requested. The new release is watched
//! meanwhile, so that it is rolled back if it turns bad, also while a person is awaited.

use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::model::deployment::{DeploymentPlan, HostStep, NotifyEvent, Pause};
use crate::rollout::check::Answer;
use crate::rollout::outlet::Progress;

use super::controls::Stage;
use super::restarts::evidence;
use super::steps::Running;
use super::traffic::Looks;
use super::{Driver, Position, Sampler, Trouble};

/// Minimum time between two log lines about answers of the same kind that differ, for instance in the number of requests.
/// A pause may last for days.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// The new release during a wait.
struct Watch {
    /// Hosts on which the release is watched.
    hosts: Vec<usize>,
    /// Time between two answers.
    every: Duration,
    /// Number of bad answers with which the release has failed.
    most: u32,
    /// Numbers of answers so far.
    bad: u32,
    good: u32,
    unknown: u32,
    /// The answer that the log has, with its time.
    said: Option<(Answer, Instant)>,
    /// Time of the next answer.
    next: Instant,
    looks: Looks,
}

impl Watch {
    /// Adds an answer. Returns the number of bad answers and the last one if the release has failed.
    fn feed(&mut self, answer: Answer, progress: &Progress) -> Option<(u32, String)> {
        self.next = Instant::now() + self.every;
        if self.said.as_ref().is_none_or(|(last, at)| is_news(last, at.elapsed(), &answer)) {
            progress.say(answer.text());
            self.said = Some((answer.clone(), Instant::now()));
        }
        match answer {
            Answer::Good(_) => self.good += 1,
            Answer::Unknown(_) | Answer::Paused(_) => self.unknown += 1,
            Answer::Hopeless(last) => return Some((self.bad + 1, last)),
            Answer::Bad(last) => {
                self.bad += 1;
                // Requests fail until the traffic is moved back, so the rollback begins without another check.
                return (self.bad >= self.most).then_some((self.bad, last));
            }
        }
        None
    }
}

impl Driver {
    /// Waits while a person has paused the deployment.
    pub(super) async fn wait_while_paused(&mut self, position: &Position, progress: &Progress) -> Result<(), Trouble> {
        if !self.controls.paused {
            return Ok(());
        }
        progress.say("paused by a person: `cuelight promote` continues");
        self.note(&Position { is_paused: true, ..position.clone() });
        let mut watch = self.watch(position, position.watched()).await?;
        self.wait_for_person(&mut watch, position, progress).await?;
        self.controls.paused = false;
        self.note(position);
        Ok(())
    }

    /// Writes a position in which the deployment waits, to show it. The deployment goes on if it cannot be written.
    fn note(&self, position: &Position) {
        if let Err(error) = position.write(&self.tools.folder) {
            tracing::warn!(%error, "the wait of the deployment is not in its position");
        }
    }

    /// Watches the new release until the deployment is promoted. Returns an error once there are too many bad answers.
    async fn wait_for_person(
        &mut self,
        watch: &mut Watch,
        position: &Position,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        self.controls.stage = Stage::Pause;
        self.controls.promoted = false;
        while !self.controls.promoted {
            self.watch_on(watch, None, position, progress).await?;
        }
        self.look_before_more(watch, position, progress).await?;
        self.controls.stage = Stage::Step;
        Ok(())
    }

    /// Asks about the new release after a promotion, until an answer is not bad: a release that has failed since its last
    /// answer gets no more of the traffic. Returns an error once there are too many bad answers.
    async fn look_before_more(
        &mut self,
        watch: &mut Watch,
        position: &Position,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        while self.ask_of_watch(watch, position, progress).await? {
            self.controlled_until(watch.next).await?;
        }
        Ok(())
    }

    /// Adds an answer about the new release to a watch. Returns whether it is bad, and an error once there are too many
    /// bad answers.
    async fn ask_of_watch(
        &mut self,
        watch: &mut Watch,
        position: &Position,
        progress: &Progress,
    ) -> Result<bool, Trouble> {
        self.check_replicas(position, progress).await?;
        let Some((host, answer)) = self.ask(&watch.hosts, &position.plan, progress).await? else { return Ok(false) };
        let is_bad = matches!(answer, Answer::Bad(_) | Answer::Hopeless(_));
        let Some((count, last)) = watch.feed(answer, progress) else { return Ok(is_bad) };
        let (targets, slot) = (Arc::clone(&self.tools.targets), position.plan.of(host).new.slot);
        let evidence = self.controlled(evidence(targets.of(host), slot, progress)).await;
        Err(Trouble::Analysis { count, last, evidence: evidence.map_err(Trouble::Interrupted)? })
    }

    /// Watches the new release for a time, or until the deployment is promoted. Returns an error once there are too
    /// many bad answers. If all answers of the analysis are unknown, waits until a person decides, and watches on: good
    /// answers do not take the decision back from the people who were asked, but bad ones end the wait.
    pub(super) async fn pause(
        &mut self,
        pause: Pause,
        position: &Position,
        running: &Running,
    ) -> Result<Option<String>, Trouble> {
        let Running { step: HostStep { host, .. }, progress, .. } = running;
        if self.controls.full {
            return Ok(Some("skipped: promoted fully".to_owned()));
        }
        self.controls.stage = Stage::Pause;
        self.controls.promoted = false;
        let end = match pause {
            Pause::For(length) => {
                self.controls.stage = Stage::Watch;
                Some(Instant::now() + length)
            }
            Pause::Person => {
                self.ask_person("waits for a person", progress);
                None
            }
        };
        let mut watch = self.watch(position, vec![*host]).await?;
        loop {
            if self.controls.promoted {
                self.look_before_more(&mut watch, position, progress).await?;
                self.controls.stage = Stage::Step;
                return Ok(Some("promoted".to_owned()));
            }
            let end = end.filter(|_| !self.controls.paused);
            if end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
            self.watch_on(&mut watch, end, position, progress).await?;
        }
        if self.subject.settings.analysis.is_some() && watch.good == 0 && watch.unknown > 0 {
            let unknown = watch.unknown;
            self.note(&Position { is_undecided: true, ..position.clone() });
            let why = format!("all {unknown} answers are unknown, so a person decides; bad answers still roll back");
            self.ask_person(&why, progress);
            self.wait_for_person(&mut watch, position, progress).await?;
            return Ok(Some("promoted".to_owned()));
        }
        self.controls.stage = Stage::Step;
        Ok(None)
    }

    /// Begins to watch the new release on these hosts.
    async fn watch(&mut self, position: &Position, hosts: Vec<usize>) -> Result<Watch, Trouble> {
        let (analysis, default) = (self.subject.settings.analysis.as_ref(), self.subject.settings.health);
        let (every, most) =
            analysis.map_or((default.interval, default.retries.max(1)), |analysis| (analysis.every, analysis.failures));
        let next = Instant::now() + every;
        let looks = self.looks(&position.plan).await?;
        Ok(Watch { hosts, every, most, bad: 0, good: 0, unknown: 0, said: None, next, looks })
    }

    /// Waits for the next answer about the new release, or until `end`. Returns early after a command.
    async fn watch_on(
        &mut self,
        watch: &mut Watch,
        end: Option<Instant>,
        position: &Position,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        let looks = watch.looks.next();
        let due = if watch.hosts.is_empty() { looks } else { watch.next.min(looks) };
        self.controlled_until(end.map_or(due, |end| end.min(due))).await?;
        self.controlled(watch.looks.look(progress)).await.map_err(Trouble::Interrupted)?;
        if watch.hosts.is_empty() || Instant::now() < watch.next || self.controls.promoted {
            return Ok(());
        }
        self.ask_of_watch(watch, position, progress).await?;
        Ok(())
    }

    /// Returns the looks at the target during a wait.
    async fn looks(&mut self, plan: &DeploymentPlan) -> Result<Looks, Trouble> {
        let (sampler, targets) = (Sampler::new(&self.tools, &self.job, plan), Arc::clone(&self.tools.targets));
        let reported = self.controlled(targets.traffic()).await.map_err(Trouble::Interrupted)?;
        Ok(Looks::new(sampler, !reported.is_empty()))
    }

    /// Notifies people that the deployment waits for a person, with the commands to decide.
    fn ask_person(&mut self, why: &str, progress: &Progress) {
        let name = self.subject.settings.name.clone();
        let waits = format!("{why}: `cuelight promote {name}` or `cuelight abort {name}`");
        progress.say(&waits);
        self.notify(NotifyEvent::Paused, &waits, &format!("promote {name}"));
    }

    /// Probes the new release once on each host. Returns the worst answer with its host; `None` without hosts.
    async fn ask(
        &mut self,
        hosts: &[usize],
        plans: &DeploymentPlan,
        progress: &Progress,
    ) -> Result<Option<(usize, Answer)>, Trouble> {
        let targets = Arc::clone(&self.tools.targets);
        let analysis = self.subject.settings.analysis.clone();
        let asked = hosts.iter().map(|host| {
            let (target, plan, analysis) = (targets.of(*host), plans.of(*host), analysis.as_ref());
            let slot = plan.new.slot;
            async move {
                match analysis {
                    None => target.health(slot, plan, progress).await,
                    Some(analysis) => target.check(&analysis.probe, analysis.timeout, slot, plan, progress).await,
                }
            }
        });
        let answers = self.controlled(join_all(asked)).await.map_err(Trouble::Interrupted)?;
        Ok(hosts.iter().copied().zip(answers).min_by_key(|(_, answer)| rank(answer)))
    }
}

/// Returns the rank of an answer among those of several hosts: the lowest one counts.
fn rank(answer: &Answer) -> u8 {
    match answer {
        Answer::Hopeless(_) => 0,
        Answer::Bad(_) => 1,
        Answer::Unknown(_) | Answer::Paused(_) => 2,
        Answer::Good(_) => 3,
    }
}

/// Whether an answer of a watched release goes to the log. `last` is the answer that the log has, and `age` its age. An
/// answer that says the same again never does.
fn is_news(last: &Answer, age: Duration, answer: &Answer) -> bool {
    discriminant(last) != discriminant(answer) || (last != answer && age >= SAY_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_pause_is_quiet_unless_something_changes() {
        let good = |text: &str| Answer::Good(text.to_owned());
        let bad = Answer::Bad("exit status: 1".to_owned());
        let day = Duration::from_hours(24);
        assert!(!is_news(&good("exit code 0"), day, &good("exit code 0")));
        assert!(is_news(&good("exit code 0"), Duration::ZERO, &bad));
        assert!(!is_news(&bad, day, &bad));
        assert!(!is_news(&good("10 requests"), Duration::from_secs(5), &good("20 requests")));
        assert!(is_news(&good("10 requests"), SAY_EVERY, &good("20 requests")));
    }
}
