//! Tests of the settings of environments.

mod targets;

use super::target::ROUTER;
use super::*;
use crate::config::Config;
use crate::model::deployment::{NotifyEvent, Webhook};

/// An environment with all required settings.
const WHOLE: &str =
    "[environments.staging]\n[environments.staging.target]\nstart = 'up'\nstop = 'down'\nhealthy = 'ok'\n";

fn given(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config.read("c", text, Layer::Repository).map(|()| config)
}

fn environment(own: &str, tables: &str) -> String {
    format!("[environments.a]\n{own}\n[environments.a.target]\nstart = 'up'\nstop = 'down'\nhealthy = 'ok'\n{tables}")
}

#[test]
fn the_example_is_true() {
    let settings = EXAMPLE.lines().filter_map(|line| line.strip_prefix("# "));
    let settings = settings
        .filter(|line| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')));
    let text = settings.flat_map(|line| [line, "\n"]).collect::<String>();
    let config = given(&text).expect("an environment");
    let production = &config.environments()["production"];
    assert_eq!((production.strategy.name(), production.target.replicas()), ("canary", Some(2)));
    assert_eq!((production.health.deadline, production.keep_old), (Duration::from_mins(6), Duration::from_mins(30)));
    assert_eq!(production.on, [RefRule::Tag("v*".to_owned())]);
    assert!(production.smoke.is_some() && production.analysis.is_some() && production.reviewers.len() == 2);
    let commands = &config.environments()["qa"];
    assert!(commands.strategy.name() == "recreate" && !commands.target.reports());
    let named = config.named_by_repository();
    assert!(named.contains(&"environments.production.target.service = \"shop\"".to_owned()), "{named:?}");
    assert!(!named.iter().any(|line| line.contains("strategy")), "{named:?}");
    // The commands of a script and the names of its secrets are part of what is trusted.
    let script = given(&environment("secrets = ['PIN']", "")).expect("an environment");
    let expected =
        ["secrets = [\"PIN\"]", "target.start = \"up\"", "target.stop = \"down\"", "target.healthy = \"ok\""];
    assert_eq!(script.named_by_repository(), expected.map(|line| format!("environments.a.{line}")));
    assert!(
        config.describe().contains("[environments]\nproduction.on = \"tag:v*\"  # c:2:1\n"),
        "{}",
        config.describe()
    );
}

#[test]
fn errors_name_the_position_and_what_to_write() {
    for (own, tables, message) in [
        ("stratgy = 'rolling'", "", "c:2:1: `environments.a.stratgy` is unknown; did you mean `strategy`?"),
        (
            "strategy = 'fast'",
            "",
            "c:2:1: `environments.a.strategy` must be `recreate`, `rolling`, `blue-green` or `canary`, not `fast`",
        ),
        (
            "strategy = 'rolling'\nmax_surge = 0",
            "",
            "c:1:15: `environments.a.max_unavailable` and `max_surge` are both 0: no replica could be replaced; set one of \
             them to 1",
        ),
        (
            "max_surge = 2",
            "",
            "c:2:1: `environments.a.max_surge` is for the strategy `rolling`, and this one is `recreate`",
        ),
        (
            "strategy = 'blue-green'",
            "",
            "c:2:1: `environments.a.strategy` cannot be `blue-green`: the target has no `weight` command that moves traffic",
        ),
        (
            "strategy = 'canary'",
            "weight = 'w'",
            "c:2:1: `environments.a.strategy` is `canary` without steps: write canary.steps, such as [\"10%\", \"pause \
             5m\", \"50%\", \"pause\"]",
        ),
        (
            "strategy = 'canary'\ncanary.steps = ['50%', '10%']",
            "weight = 'w'",
            "c:3:8: `environments.a.canary.steps` has `10%`: shares must grow",
        ),
        (
            "wait = 'ten'",
            "",
            "c:2:1: `environments.a.wait` must be a length of time such as `90s`, `10m` or `1h30m`, not `ten`",
        ),
        (
            "on = 'tags'",
            "",
            "c:2:1: `environments.a.on` must be `push:BRANCH`, `tag:PATTERN` or `pull_request`, not `tags`",
        ),
        (
            "after = ['stagin']",
            WHOLE,
            "c:2:1: `environments.a.after` names no other environment: `stagin`; did you mean `staging`?",
        ),
        ("after = 'a'", "", "c:2:1: `environments.a.after` names no other environment: `a`"),
        (
            "reviewers = ['team:ops']",
            "",
            "c:2:1: `environments.a.reviewers` cannot have `team:ops`: only a server knows teams; name people",
        ),
        (
            "",
            "[environments.a.health]\nhttp = 'http://x'\nstart_period = '30s'\nhealthy_for = '10s'\ndeadline = '40s'",
            "c:11:1: `environments.a.health.deadline` of 40s is too short: start_period and healthy_for together already \
             take 40s",
        ),
        ("", "replica = 2", "c:7:1: `environments.a.target.replica` is unknown; did you mean `replicas`?"),
        (
            "wait = [1]",
            "",
            "c:2:1: `environments.a.wait` must be a length of time such as `90s`, `10m` or `1h30m`, not a list",
        ),
        ("on = 1.5", "", "c:2:1: `environments.a.on` must be a string or a list of strings, not `1.5`"),
        (
            "reviewers = { a = 1 }",
            "",
            "c:2:1: `environments.a.reviewers` must be a string or a list of strings, not a table",
        ),
        ("notify = [1]", "", "c:2:1: `environments.a.notify` must be a table, not a list"),
        ("notify = { slack = 1 }", "", "c:2:12: `environments.a.notify.slack` must be a string, not a number"),
        ("", "replicas = 1.5", "c:7:1: `environments.a.target.replicas` must be a number of at least 1, not `1.5`"),
        ("", "replicas = 0", "c:7:1: `environments.a.target.replicas` must be a number of at least 1, not `0`"),
        (
            "",
            "kind = 'docke'",
            "c:7:1: `environments.a.target.kind` must be `docker`, `compose`, `kubernetes` or `script`, not `docke`; did you mean \
             `docker`?",
        ),
        (
            "keep_old = '5m'",
            "",
            "c:2:1: `environments.a.keep_old` is for the strategies `blue-green` and `canary`, which have two slots",
        ),
    ] {
        let text = environment(own, tables);
        let error = given(&text).expect_err(&text).to_string();
        assert_eq!(error, message, "{text}");
    }
    for (text, message) in [
        (
            "[environments.a]\n",
            "c:1:15: `environments.a` has no target: write [environments.a.target] with kind = \"docker\", \
             \"compose\" or \"kubernetes\", or with start and stop",
        ),
        (
            "[environments.a.target]\nstart = 'up'\nstop = 'down'",
            "c:1:15: `environments.a` has no health check: write [environments.a.health] with http, tcp or exec, or \
             target.healthy",
        ),
        ("[environments.a.target]\nstart = 'up'", "c:1:17: `environments.a.target` has no `stop` command"),
        (
            "[environments.a.target]\nreplicas = 1",
            "c:1:17: `environments.a.target` has no `start` and no `stop` command",
        ),
        (
            "[environments.a.target.commands]\nstart = 'up'",
            "c:1:24: `environments.a.target.commands` is unknown; write its keys in [environments.a.target]",
        ),
        (
            "[environments.a.target]\nstrat = 'up'\nstop = 'down'",
            "c:2:1: `environments.a.target.strat` is unknown; did you mean `start`?",
        ),
        ("[environments.a.tagret]\nstart = 'up'", "c:1:17: `environments.a.tagret` is unknown; did you mean `target`?"),
        (
            "[environments.a.target]\nkind = 'docker'\nservice = 'a'\nimagee = 'x'",
            "c:4:1: `environments.a.target.imagee` is unknown; did you mean `image`?",
        ),
        ("environments = 3", "c:1:1: `environments` must be a table: write [environments.NAME]"),
    ] {
        let error = given(text).expect_err(text).to_string();
        assert_eq!(error, message, "{text}");
    }
    let user = Config::default().read("c", WHOLE, Layer::User).expect_err("a user's").to_string();
    assert_eq!(user, "c:1:2: `environments` belongs to a repository: write it in its .cuelight.toml");
}

#[test]
fn notifications_are_those_of_the_environment_or_of_all_and_name_their_secrets() {
    let all = "[notify]\nslack = '${SLACK_WEBHOOK_URL}'\non = ['failed']\n";
    let of = |own: &str| {
        let config = given(&(all.to_owned() + &environment(own, ""))).expect("an environment");
        config.environments()["a"].notify.clone()
    };
    let slack =
        Notify { slack: Some("SLACK_WEBHOOK_URL".to_owned()), on: vec![NotifyEvent::Failed], ..Notify::default() };
    assert_eq!(of(""), Some(slack));
    assert_eq!(of("notify = false"), None);
    let webhook = Webhook { url: "HOOK".to_owned(), key: Some("KEY".to_owned()) };
    let own = of("notify = { webhook = '${HOOK}', webhook_key = '${KEY}', terminal = true }").expect("its own");
    assert_eq!((own.webhook, own.slack, own.terminal), (Some(webhook), None, true));
    assert_eq!(own.on, NotifyEvent::DEFAULT);
    let config = given(&(all.to_owned() + &environment("", ""))).expect("an environment");
    let named = config.named_by_repository();
    assert!(named.contains(&"notify.slack = \"${SLACK_WEBHOOK_URL}\"".to_owned()), "{named:?}");
    let settings = &config.environments()["a"];
    assert!(settings.is_secret("SLACK_WEBHOOK_URL", "x"), "the address is masked");
    let needed: Vec<_> = settings.needed(|_| false).into_iter().map(|one| (one.name, one.is_secret)).collect();
    assert_eq!(needed, [("SLACK_WEBHOOK_URL".to_owned(), true)]);
    let both = given(&environment("notify = { slack = '${HOOK}', webhook = '${HOOK}' }", "")).expect("an environment");
    assert_eq!(both.environments()["a"].needed(|_| true).len(), 1, "a variable is listed once");
    let described = config.describe();
    assert!(described.contains("\n[notify]\nslack = \"${SLACK_WEBHOOK_URL}\"  # c:2:1\n"), "{described}");
    for (table, message) in [
        ("slck = 'x'", "c:2:1: `notify.slck` is unknown; did you mean `slack`?"),
        ("on = 'fail'\ncommand = 'x'", "c:2:1: `notify.on` has `fail`, which is unknown; did you mean `failed`?"),
        (
            "slack = 'https://hooks.slack.com/services/T0/B0/secret'",
            "c:2:1: `notify.slack` must name an environment variable, such as `${SLACK_WEBHOOK_URL}`: its value is a \
             secret, which must not be in a file",
        ),
        ("webhook_key = '${K}'\ncommand = 'x'", "c:2:1: `notify.webhook_key` has no effect without `webhook`"),
        ("on = 'failed'", "c:1:2: `notify` has no destination: write slack, webhook, command or terminal = true"),
    ] {
        let error = given(&format!("[notify]\n{table}")).expect_err(table).to_string();
        assert_eq!(error, message, "{table}");
    }
    let user = Config::default().read("c", all, Layer::User).expect_err("a user's").to_string();
    assert_eq!(user, "c:1:2: `notify` belongs to a repository: write it in its .cuelight.toml");
}

#[test]
fn values_are_described_as_they_are_written() {
    let text =
        "[environments.a]\nx = [1, 'two', true, 1.5, [3], { b = 4, 'c d' = [] }, {}, 1979-05-27]\ny = 0x1F\nz = 1e3\n";
    let document = toml::de::DeTable::parse(text).expect("a document");
    let mut lines = Vec::new();
    let Some(DeValue::Table(all)) = document.get_ref().get(TABLE).map(toml::Spanned::get_ref) else {
        panic!("no table")
    };
    flatten(FileText { name: "c", text }, (TABLE, ""), all, false, &mut lines);
    let shown: Vec<_> = lines.iter().map(|line| format!("{} = {}", line.name, line.value)).collect();
    let expected =
        ["a.x = [1, \"two\", true, 1.5, [3], { b = 4, \"c d\" = [] }, {}, 1979-05-27]", "a.y = 0x1F", "a.z = 1e3"];
    assert_eq!(shown, expected);
}

#[test]
fn an_environment_stops_by_itself_only_if_its_target_can_and_after_the_former_release() {
    let environment =
        |keys: &str, target: &str| given(&format!("[environments.a]\n{keys}\n[environments.a.target]\n{target}\n"));
    let docker = "kind = 'docker'\nservice = 's'\nimage = 's:{sha}'\nport = 1\npublish = 1";
    let config = environment("auto_stop = '24h'", docker).expect("an environment");
    assert_eq!(config.environments()["a"].auto_stop, Some(Duration::from_hours(24)));
    for (keys, target, message) in [
        ("auto_stop = '0'", docker, "of 0s must be longer than 0s"),
        (
            "strategy = 'blue-green'\nkeep_old = '1h'\nauto_stop = '30m'",
            docker,
            "of 30m must be longer than keep_old, 1h",
        ),
        (
            "auto_stop = '1h'",
            "kind = 'kubernetes'\ndeployment = 's'\nimage = 's:{sha}'",
            "cannot be set: the pods of a Deployment are replaced, but never removed",
        ),
    ] {
        let error = environment(keys, target).expect_err(message).to_string();
        assert!(error.ends_with(&format!("`environments.a.auto_stop` {message}")), "{error}");
    }
}
