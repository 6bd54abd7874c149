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

/// Returns an environment in Docker. `own` is added to the target, in place of its default for the same key, and
/// `tables` after it.
fn in_docker(own: &str, tables: &str) -> String {
    let target = "kind = 'docker'\nservice = 'shop'\nimage = 'shop:{sha}'\nport = 8080\npublish = 80";
    let own_key = own.split(' ').next().unwrap_or_default();
    let kept = target.lines().filter(|line| !line.starts_with(&format!("{own_key} ")));
    let kept = kept.collect::<Vec<_>>().join("\n");
    format!("[environments.a]\nstrategy = 'blue-green'\n[environments.a.target]\n{own}\n{kept}\n{tables}")
}

#[test]
fn a_target_in_docker_needs_no_commands_and_its_errors_name_the_position() {
    let config = given(&in_docker("", "")).expect("an environment");
    let TargetSettings::Docker(docker) = &config.environments()["a"].target else { panic!("not Docker") };
    assert_eq!((docker.replicas, docker.drain, &*docker.router), (1, Duration::from_secs(30), ROUTER));
    let health = in_docker("", "[environments.a.health]\nhttp = '/health'\n[environments.a.analysis]\nerrors = '0.5%'");
    let config = given(&health).expect("an environment");
    let settings = &config.environments()["a"];
    let limits = RouterLimits { errors: 50, latency: None, min_requests: 50 };
    assert_eq!(settings.health_check, Some(Probe::Path("/health".to_owned())));
    assert_eq!(settings.analysis.as_ref().map(|analysis| analysis.probe.clone()), Some(Probe::Router(limits)));
    for (own, tables, message) in [
        (
            "image = 'shop:{sh}'",
            "",
            "c:4:1: `environments.a.target.image` has `{sh}`, which is unknown; did you mean `{sha}`?",
        ),
        (
            "image = 'shop:latest'",
            "",
            "c:4:1: `environments.a.target.image` must have one of {sha}, {short_sha}, {tag}, {release}: a rollback needs \
             the image of its release",
        ),
        ("publsh = 8", "", "c:4:1: `environments.a.target.publsh` is unknown; did you mean `publish`?"),
        ("port = 80000", "", "c:4:1: `environments.a.target.port` must be a port from 1 to 65535, not `80000`"),
        ("replicas = 65", "", "c:4:1: `environments.a.target.replicas` must be at most 64, not `65`"),
        ("env = '=x'", "", "c:4:1: `environments.a.target.env` must have `NAME=VALUE` or `NAME`, not `=x`"),
        (
            "network = 'host'",
            "",
            "c:4:1: `environments.a.target.network` must be the name of a network for the service, not `host`",
        ),
        (
            "host = 'web1'",
            "",
            "c:4:1: `environments.a.target.host` must be unix:///path, tcp://host:port or ssh://host, not `web1`",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://']",
            "",
            "c:4:1: `environments.a.target.hosts` must be unix:///path, tcp://host:port or ssh://host, not `ssh://`",
        ),
        (
            "hosts = 'ssh://web1'",
            "",
            "c:4:1: `environments.a.target.hosts` must be a list: write hosts = [\"ssh://web1\"]",
        ),
        (
            "hosts = []",
            "",
            "c:4:1: `environments.a.target.hosts` is empty: write hosts = [\"ssh://deploy@web1\", \"ssh://deploy@web2\"], or \
             leave it out for the engine of docker",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2', 'ssh://web1']",
            "",
            "c:4:1: `environments.a.target.hosts` has `ssh://web1` twice: each engine is one host",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2']\nhost = 'ssh://web3'",
            "",
            "c:5:1: `environments.a.target.host` is set as well as `hosts`: write all addresses in hosts",
        ),
        (
            "hosts = ['ssh://web1']\nhosts_at_once = 2",
            "",
            "c:5:1: `environments.a.target.hosts_at_once` has no effect without several `hosts`",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2']\nhosts_at_once = 0",
            "",
            "c:5:1: `environments.a.target.hosts_at_once` must be a number of at least 1, not `0`",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2']",
            "[environments.a.smoke]\nhttp = 'http://web1/health'",
            "c:11:1: `environments.a.smoke.http` is always `http://web1/health`: the target has several hosts, and each is \
             asked: write {host} where the address names the host",
        ),
        (
            "",
            "[environments.a.health]\nhttp = 'http://x'",
            "c:10:17: `environments.a.health` cannot reach the replicas, which publish no port: write a path in http, such \
             as `/health`, or exec; without them, the router connects to target.port",
        ),
        (
            "",
            "[environments.a.analysis]\nlatency = '1s'",
            "c:11:1: `environments.a.analysis.latency` needs `errors`, such as errors = \"1%\"",
        ),
        (
            "",
            "[environments.a.analysis]\nerrors = '101%'",
            "c:11:1: `environments.a.analysis.errors` must be a share such as `1%` or `0.5%`, not `101%`",
        ),
    ] {
        let text = in_docker(own, tables);
        let error = given(&text).expect_err(&text).to_string();
        assert_eq!(error, message, "{text}");
    }
    let incomplete = "[environments.a]\n[environments.a.target]\nkind = 'docker'\nservice = 'shop'";
    let error = given(incomplete).expect_err("no image").to_string();
    let message = "c:2:17: `environments.a.target` has no `image`: write it, such as image = \
                   \"registry.example.com/shop:{release}\"";
    assert_eq!(error, message);
}

#[test]
fn one_engine_or_several_are_the_hosts_of_a_target_in_docker() {
    let docker = |own: &str, tables: &str| {
        let config = given(&in_docker(own, tables)).expect("an environment");
        match config.environments()["a"].target.clone() {
            TargetSettings::Docker(docker) => (docker.hosts, docker.hosts_at_once),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(docker("", ""), (Vec::new(), 1));
    assert_eq!(docker("host = 'ssh://web1'", ""), (vec!["ssh://web1".to_owned()], 1));
    let smoke = "[environments.a.smoke]\nhttp = 'http://{host}/health'";
    let several = docker("hosts = ['ssh://web1', 'tcp://web2:2376', 'ssh://web3']\nhosts_at_once = 2", smoke);
    assert_eq!(several, (["ssh://web1", "tcp://web2:2376", "ssh://web3"].map(str::to_owned).into(), 2));
}

#[test]
fn a_target_in_kubernetes_has_a_deployment_and_refuses_what_it_cannot_deliver() {
    let environment = |strategy: &str, own: &str, tables: &str| {
        let target = "kind = 'kubernetes'\ndeployment = 'shop'\nimage = 'shop:{release}'";
        given(&format!("[environments.a]\n{strategy}\n[environments.a.target]\n{own}\n{target}\n{tables}"))
    };
    let config = environment("strategy = 'rolling'", "replicas = 3\ncontext = 'eu/prod'", "").expect("an environment");
    let settings = &config.environments()["a"];
    let TargetSettings::Kubernetes(kubernetes) = &settings.target else { panic!("not Kubernetes") };
    assert_eq!((kubernetes.replicas, kubernetes.context.as_deref()), (Some(3), Some("eu/prod")));
    assert!(settings.health_check.is_none(), "the pods have their own checks");
    assert_eq!(settings.health.deadline, Duration::from_hours(1));
    // The stored settings do not name the kind of the target, so it is recognized by its keys.
    let stored = serde_json::to_string(settings).expect("JSON");
    assert_eq!(&serde_json::from_str::<EnvironmentSettings>(&stored).expect("settings"), settings);
    let even = "a Deployment gives each ready pod the same share of the traffic: use `rolling`, or a Rollout of Argo";
    for (strategy, own, tables, message) in [
        ("strategy = 'blue-green'", "", "", format!("c:2:1: `environments.a.strategy` cannot be `blue-green`: {even}")),
        (
            "strategy = 'canary'\ncanary.steps = ['10%']",
            "",
            "",
            format!("c:2:1: `environments.a.strategy` cannot be `canary`: {even}"),
        ),
        (
            "",
            "namespace = 'My Shop'",
            "",
            "c:4:1: `environments.a.target.namespace` must be a name of lower-case letters, digits and `-` that begins and ends with a letter or digit, not `My Shop`"
                .to_owned(),
        ),
        ("", "contex = 'x'", "", "c:4:1: `environments.a.target.contex` is unknown; did you mean `context`?".to_owned()),
        (
            "",
            "progress_deadline = '0s'",
            "",
            "c:4:1: `environments.a.target.progress_deadline` must be at least 1s".to_owned(),
        ),
        (
            "",
            "",
            "[environments.a.health]\nhttp = '/health'",
            "c:9:1: `environments.a.health.http` must be an address with http://, not `/health`".to_owned(),
        ),
        (
            "",
            "",
            "[environments.a.analysis]\nerrors = '1%'",
            "c:8:17: `environments.a.analysis` needs one of http, tcp and exec".to_owned(),
        ),
    ] {
        let error = environment(strategy, own, tables).expect_err(own).to_string();
        assert_eq!(error, message);
    }
    let rollout = |strategy: &str, own: &str| {
        let target = "kind = 'kubernetes'\nrollout = 'shop'\nimage = 'shop:{release}'";
        given(&format!("[environments.a]\n{strategy}\n[environments.a.target]\n{own}\n{target}\n"))
    };
    let config = rollout("strategy = 'canary'\ncanary.steps = ['10%', 'pause']", "").expect("a Rollout moves shares");
    let settings = &config.environments()["a"];
    let TargetSettings::Kubernetes(kubernetes) = &settings.target else { panic!("not Kubernetes") };
    assert_eq!(kubernetes.workload.to_string(), "Rollout shop");
    let stored = serde_json::to_string(settings).expect("JSON");
    assert_eq!(&serde_json::from_str::<EnvironmentSettings>(&stored).expect("settings"), settings);
    for (strategy, own, message) in [
        (
            "",
            "",
            "c:1:15: `environments.a` has the strategy `recreate`, which a Rollout does not have: write `rolling`, \
             `blue-green` or `canary`, as in its manifest",
        ),
        (
            "strategy = 'rolling'",
            "deployment = 'shop'",
            "c:6:1: `environments.a.target.rollout` cannot be combined with `deployment`: a target has one workload",
        ),
    ] {
        let error = rollout(strategy, own).expect_err(own).to_string();
        assert_eq!(error, message);
    }
    let incomplete = "[environments.a.target]\nkind = 'kubernetes'\nimage = 'shop:{sha}'";
    let error = given(incomplete).expect_err("no Deployment").to_string();
    let message = "c:1:17: `environments.a.target` has no `deployment`: write it, such as deployment = \"shop\"";
    assert_eq!(error, message);
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
fn a_service_of_compose_is_recreated_or_rolled_and_nothing_else() {
    let environment = |strategy: &str, own: &str| {
        let target = "kind = 'compose'\nservice = 'shop'\nimage = 'shop:{release}'";
        given(&format!("[environments.a]\n{strategy}\n[environments.a.target]\n{own}\n{target}"))
    };
    let config = environment("strategy = 'rolling'", "replicas = 2\nfiles = 'compose.yaml'").expect("an environment");
    let settings = &config.environments()["a"];
    let TargetSettings::Compose(compose) = &settings.target else { panic!("not Compose") };
    assert_eq!((compose.replicas, &*compose.files), (Some(2), &["compose.yaml".to_owned()][..]));
    assert!(settings.health_check.is_none(), "the service has its own check");
    let stored = serde_json::to_string(settings).expect("JSON");
    assert_eq!(&serde_json::from_str::<EnvironmentSettings>(&stored).expect("settings"), settings);
    let moves = "Compose cannot move traffic: use `recreate` or, for a service that publishes no port, `rolling`";
    for (strategy, own, message) in [
        ("strategy = 'blue-green'", "", format!("c:2:1: `environments.a.strategy` cannot be `blue-green`: {moves}")),
        (
            "strategy = 'recreate'",
            "project = 'My Shop'",
            "c:4:1: `environments.a.target.project` must be lower-case letters, digits, `-` and `_`, not `My Shop`"
                .to_owned(),
        ),
        (
            "keep_old = '1m'",
            "",
            "c:2:1: `environments.a.keep_old` is for the strategies `blue-green` and `canary`, which have two slots"
                .to_owned(),
        ),
        (
            "strategy = 'recreate'",
            "port = 80",
            "c:4:1: `environments.a.target.port` is unknown; known here: kind, service, image, files, project, replicas, \
             timeout, keep_images"
                .to_owned(),
        ),
    ] {
        let error = environment(strategy, own).expect_err(&message).to_string();
        assert_eq!(error, message);
    }
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
