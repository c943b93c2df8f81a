//! What registries give, and what is said of broken ones: by the files in `tests/registry`.
//!
//! Each broken file has a file `.expected` beside it with every problem that must be told. `UPDATE=1` writes them anew:
//! read the difference before it is committed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use supervisor::registry::{
    LoadOptions, LogFormat, Origin, Registry, RegistryError, lenient_log, lenient_temp,
};
use supervisor::{LineForm, Output, ProcessSpec, Resource, ResourceLimit, Stderr, WhenFull};

const CORPUS: &str = "tests/registry";
const EXAMPLE: &str = "../../examples/image-serving/conf/SupervisorRegistry.xml";

/// Paths in problems do not depend on where the test runs, nor on who has checked the files out.
fn options() -> LoadOptions {
    LoadOptions {
        install_folder: Some("/srv".into()),
        environment: vec![("S7_SV_nothing".into(), String::new())],
        ..plain()
    }
}

fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Registry, RegistryError> {
    Registry::load(path.as_ref(), options)
}

/// The registry with this text, and beside it files with these names and texts.
fn load_text(
    text: &str,
    files: &[(&str, &str)],
    options: &LoadOptions,
) -> (tempfile::TempDir, Result<Registry, RegistryError>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain([&("registry.xml", text)]) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = load(folder.path().join("registry.xml"), options);
    (folder, loaded)
}

fn load_server(content: &str) -> Result<Registry, RegistryError> {
    let text = format!("<supervisor><servers><server id='a'>{content}</server></servers></supervisor>");
    load_text(&text, &[], &plain()).1
}

fn plain() -> LoadOptions {
    LoadOptions { check_ownership: false, ..LoadOptions::default() }
}

fn problems(loaded: Result<Registry, RegistryError>) -> Vec<String> {
    let error = loaded.map(|registry| registry.components.len()).unwrap_err();
    error.problems().iter().map(|problem| problem.message.clone()).collect()
}

fn arguments(spec: &ProcessSpec) -> Vec<&str> {
    spec.arguments.iter().map(|argument| argument.to_str().unwrap()).collect()
}

fn ids(registry: &Registry) -> Vec<&str> {
    registry.components.iter().map(|component| component.id.as_str()).collect()
}

fn xml_files(folder: &str) -> Vec<PathBuf> {
    let entries = Path::new(CORPUS).join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "xml")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

#[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
#[test]
fn every_problem_of_every_broken_file_is_told() {
    let folders = ["broken/xml", "broken/structure", "broken/meaning"];
    let files: Vec<_> = folders.into_iter().flat_map(xml_files).collect();
    assert!(files.len() >= 40, "only {} broken files", files.len());
    for path in files {
        let error = load(&path, &options()).map(|registry| registry.components.len()).expect_err("is broken");
        // What is included is told by its absolute path, the registry as it was named.
        let broken = format!("{CORPUS}/broken/");
        let absolute = std::path::absolute(&broken).unwrap();
        let told = error.to_string().replace(absolute.to_str().unwrap(), "").replace(&broken, "") + "\n";
        let expected = path.with_extension("expected");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap();
        assert_eq!(told, expected, "{}", path.display());
        for shown in [error.render(true), error.render(false), format!("{error:?}"), told] {
            assert!(!shown.contains("hunter2"), "{} shows a secret: {shown}", path.display());
        }
    }
}

#[test]
fn every_good_file_is_loaded() {
    for path in xml_files("good") {
        let loaded = load(&path, &options());
        assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
}

#[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
#[test]
fn the_documented_registry_gives_its_three_components() {
    let options = LoadOptions { supervisor_executable: Some("/opt/s7/s7supervisor".into()), ..plain() };
    let registry = load(EXAMPLE, &options).unwrap();
    assert_eq!(ids(&registry), ["is", "svg", "ps"]);
    assert_eq!(registry.config.tcp_port, Some(9910));
    assert_eq!(registry.config.trace_level, 2);
    assert_eq!(registry.config.trace_stats_interval, Some(Duration::from_secs(600)));
    assert_eq!(registry.config.log_days, 10);
    assert!(registry.install_folder.ends_with("examples/image-serving"));
    assert_eq!(registry.config.log, registry.install_folder.join("logs/Supervisor.log"));
    assert_eq!(registry.config.temp, registry.install_folder.join("temp"));
    let files: Vec<_> =
        registry.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["SupervisorRegistry.xml", "SupervisorProfiles.xml"]);
    for (component, priority) in registry.components.iter().zip([1, 1, 2]) {
        assert_eq!(component.executable, Path::new("/opt/s7/s7supervisor"));
        assert_eq!(component.start_priority, priority);
        assert_eq!(component.start_delay, Duration::from_secs(5));
        assert_eq!(component.stop_timeout, Duration::from_secs(60));
        assert_eq!(component.working_directory.as_ref(), Some(&registry.install_folder));
    }
    let [is, svg, ps] = &registry.components[..] else { panic!() };
    assert_eq!(is.description, "Dynamic Media Image Server");
    assert_eq!(arguments(is), ["stand-in", "--name", "Image Server", "--listen", "27345"]);
    let svg_arguments = [
        "stand-in",
        "--name",
        "SVG server",
        "--listen",
        "27346",
        "--",
        "-Xmx200m",
        "-XX:MaxPermSize=200m",
        "-Dcom.sun.management.jmxremote.port=9998",
    ];
    assert_eq!(arguments(svg), svg_arguments);
    let ps_arguments = [
        "stand-in",
        "--name",
        "Platform Server",
        "--listen",
        "8080",
        "--",
        "-Xmx512m",
        "-XX:MaxPermSize=200m",
        "-Dcom.sun.management.jmxremote.port=9999",
        "org.apache.catalina.startup.Bootstrap",
        "start",
    ];
    assert_eq!(arguments(ps), ps_arguments);
}

#[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
#[test]
fn everything_that_a_registry_says_arrives_in_the_specification() {
    let registry = load(format!("{CORPUS}/good/everything.xml"), &options()).unwrap();
    let config = &registry.config;
    assert_eq!(config.tcp_port, None);
    assert_eq!(config.log, Path::new("/var/log/Supervisor.log"));
    assert_eq!(config.temp, Path::new("/srv/run/logs/Supervisor.log"));
    assert_eq!((config.trace_level, config.trace_stats_interval, config.log_days), (3, None, 20));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(ids(&registry), ["ps", "web-1", "web-2", "web-3"]);

    let ps = &registry.components[0];
    assert_eq!(ps.executable, Path::new("/srv/bin/server"));
    let expected = ["--base", "--server", "-Xmx512m", "<literal> SV::", "main", "last"];
    assert_eq!(arguments(ps), expected);
    assert_eq!(ps.description, "Platform Server ps of Servers & more");
    assert_eq!(ps.working_directory.as_deref(), Some(Path::new("/srv/work/ps")));
    assert_eq!((ps.user.as_deref(), ps.group.as_deref()), (Some("nobody"), Some("65534")));
    assert_eq!((ps.umask, ps.nice, ps.autostart), (Some(0o27), Some(-5), false));
    let limits = [
        ResourceLimit { resource: Resource::OpenFiles, soft: Some(4096), hard: None },
        ResourceLimit { resource: Resource::Core, soft: Some(0), hard: Some(0) },
    ];
    assert_eq!(ps.limits, limits);
    assert_eq!(ps.start_delay, Duration::from_millis(500));
    assert_eq!(ps.stop_timeout, Duration::from_secs(120));
    assert_eq!(ps.reset_after, Duration::from_secs(10));
    let policy = "OnFailure(Backoff { delay: 250ms, max_delay: 30s, factor: 3.0, jitter: 0.0 })";
    assert_eq!(format!("{:?}", ps.restart), policy);
    assert!(ps.environment.clear);
    let variables: Vec<_> = ps
        .environment
        .variables
        .iter()
        .map(|v| (v.name.as_str(), v.value.to_str().unwrap(), v.secret))
        .collect();
    let expected = [("TOKEN", "Bearer hunter2", true), ("PLAIN", "1", false), ("PLAIN_SECRET", "2", true)];
    assert_eq!(variables, expected);
    let Output::File { log, stderr } = &ps.output else { panic!() };
    assert_eq!(log.path, Path::new("/srv/logs/ps.log"));
    assert_eq!((log.dated, log.max_size, log.keep), (false, Some(64 << 20), Some(10)));
    assert_eq!((log.days, log.compress, *stderr), (Some(30), true, Stderr::File));
    assert_eq!((log.max_total, log.min_free), (Some(1 << 30), Some(512 << 20)));
    assert_eq!((log.form, log.when_full), (LineForm::Timestamps, WhenFull::Drop));

    let web = &registry.components[2];
    assert_eq!(web.instance_of.as_ref().map(supervisor::ComponentId::as_str), Some("web"));
    assert_eq!(web.executable, Path::new("python3"));
    assert_eq!(arguments(web), ["2"]);
    assert_eq!(format!("{:?}", web.restart), "Never");
    let Output::File { log, stderr } = &web.output else { panic!() };
    assert_eq!(log.path, Path::new("/var/log/web-2.log"));
    assert_eq!((log.dated, log.days, log.keep, *stderr), (true, Some(5), None, Stderr::Join));
    assert_eq!((log.form, log.when_full), (LineForm::Json, WhenFull::Block { at_most: None }));
    assert!(!format!("{registry:?}").contains("hunter2"));
}

mod restart_engine {
    use supervisor::{
        Cleanup, Command, Condition, ExitAction, ExitMatch, ExitRule, GuardAction, Health, Intensity,
        MemoryLimit, OnGiveUp, Probe, Readiness, ReadyWhen, Recipient, RestartBudget, Signal, Step, Strategy,
    };

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn command(words: &[&str]) -> Command {
        let [program, arguments @ ..] = words else { panic!() };
        Command { program: program.into(), arguments: arguments.iter().map(Into::into).collect() }
    }

    fn run(words: &[&str], timeout: u64) -> Step {
        Step::Run { command: command(words), timeout: seconds(timeout) }
    }

    fn send(signal: Signal, wait: u64, to: Recipient) -> Step {
        Step::Signal { signal, wait: seconds(wait), to }
    }

    fn depends_on(spec: &ProcessSpec) -> Vec<(&str, Condition)> {
        spec.depends_on.iter().map(|dependency| (dependency.on.as_str(), dependency.condition)).collect()
    }

    fn registry() -> Registry {
        load(format!("{CORPUS}/good/restart_engine.xml"), &options()).unwrap()
    }

    fn component(id: &str) -> ProcessSpec {
        registry().components.into_iter().find(|spec| spec.id == *id).unwrap()
    }

    #[test]
    fn what_holds_for_all_components_arrives() {
        let config = registry().config;
        assert_eq!(config.restart_budget, Some(RestartBudget { max: 20, within: seconds(10) }));
        assert_eq!(config.on_give_up, OnGiveUp::Shutdown);
        let none = "<supervisor><config><restartBudget max='0' within='1s'/></config></supervisor>";
        let config = load_text(none, &[], &plain()).1.unwrap().config;
        assert_eq!((config.restart_budget, config.on_give_up), (None, OnGiveUp::Continue));
    }

    #[test]
    fn dependencies_of_profiles_and_server_are_joined_and_the_server_has_the_say() {
        let web = component("web-2");
        let expected = [
            ("database", Condition::Ready),
            ("migration", Condition::Started),
            ("cache-2", Condition::Ready),
        ];
        assert_eq!(depends_on(&web), expected);
        assert_eq!(depends_on(&component("migration")), [("database", Condition::Started)]);
        assert_eq!(depends_on(&component("report")), [("web", Condition::Completed)], "all of its instances");
    }

    #[test]
    fn what_happens_after_an_end_arrives() {
        let web = component("web-1");
        assert_eq!(web.restart.describe(), "onFailure, delay 0s, maxDelay 60s, factor 2, jitter 0.1");
        assert_eq!(web.intensity, None, "0 restarts are no limit");
        let segv = Signal::from_name("SEGV").unwrap();
        let rules = [
            ExitRule { exit: ExitMatch::Signal(segv), action: ExitAction::GiveUp },
            ExitRule { exit: ExitMatch::Code(78), action: ExitAction::Stop },
        ];
        assert_eq!(web.exits, rules);
        let group = web.restart_group.unwrap();
        assert_eq!((group.name.as_str(), group.strategy), ("web", Strategy::RestForOne));
        assert_eq!(component("migration").restart_group.unwrap().strategy, Strategy::OneForAll);
        assert_eq!(component("migration").restart.describe(), "never");
        let cache = component("cache-1");
        let intensity = Intensity { max: 3, within: seconds(60), retry_after: Duration::ZERO };
        assert_eq!((cache.intensity, cache.restart_group), (Some(intensity), None));
        let essential: Vec<_> = registry().components.iter().map(|spec| spec.essential).collect();
        assert_eq!(essential, [true, false, false, false, false, false, false]);
    }

    #[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
    #[test]
    fn how_a_component_is_watched_arrives() {
        let readiness =
            |id: &str| component(id).readiness.map(|readiness| (readiness.when, readiness.timeout));
        let asked = Probe::Exec(command(&["pg_isready", "-q"]));
        assert_eq!(readiness("database"), Some((ReadyWhen::Probed(asked), seconds(60))));
        assert_eq!(readiness("migration"), Some((ReadyWhen::Descriptor(3), seconds(60))));
        let url = "http://localhost:8080/ready".to_owned();
        let asked = ReadyWhen::Probed(Probe::Http { url, status: 204..=204 });
        assert_eq!(
            readiness("web-1"),
            Some((asked, seconds(90))),
            "the way of the server, the time of the profile"
        );
        let logged = ReadyWhen::Logged(r"^Ready in \d+ ms".to_owned());
        assert_eq!(component("cache-1").readiness, Some(Readiness { when: logged, timeout: seconds(5) }));
        assert_eq!(readiness("report"), None);

        let probe = Probe::Http { url: "http://[::1]:8082".to_owned(), status: 200..=399 };
        let health = Health {
            probe,
            interval: seconds(5),
            timeout: seconds(2),
            failures: 1,
            start_after: Duration::ZERO,
            action: GuardAction::Report,
        };
        assert_eq!(component("web-2").health, Some(health));
        let health = component("cache-1").health.unwrap();
        assert_eq!(health.probe, Probe::Tcp { host: "localhost".to_owned(), port: 6379 });
        assert_eq!((health.interval, health.failures, health.start_after), (seconds(10), 3, seconds(30)));
        let health = component("database").health.unwrap();
        assert_eq!(
            (health.probe, health.action),
            (Probe::Exec(command(&["/srv/bin/ask"])), GuardAction::Restart)
        );
        assert_eq!(component("cache-2").watchdog, Some(seconds(30)));
        assert_eq!(
            component("web-1").memory,
            Some(MemoryLimit { max: 2 << 30, action: GuardAction::Report })
        );
    }

    #[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
    #[test]
    fn steps_keep_the_order_in_which_they_stand() {
        let web = component("web-1");
        let stop = [
            send(Signal::TERM, 30, Recipient::Main),
            run(&["/srv/bin/stop", "now"], 20),
            send(Signal::TERM, 10, Recipient::Group),
        ];
        assert_eq!(web.stop, stop);
        assert_eq!(web.stop_timeout, seconds(60), "the sum of the waits");
        assert_eq!(component("cache-1").stop_timeout, seconds(7), "as given");
        let cleanup = Cleanup { command: command(&["rm", "-f"]), timeout: seconds(3) };
        assert_eq!(web.cleanup, Some(cleanup));
        let database = component("database");
        assert_eq!(database.reload, [send(Signal::HUP, 10, Recipient::Main)]);
        let evidence = [
            run(&["/usr/bin/jstack", "database"], 5),
            send(Signal::QUIT, 2, Recipient::Main),
            run(&["dump"], 10),
        ];
        assert_eq!(database.evidence, evidence);
        assert!(database.stop.is_empty() && database.cleanup.is_none());
        assert_eq!(database.stop_timeout, seconds(60));
    }

    #[test]
    fn who_has_a_way_for_a_probe_has_its_defaults() {
        let server = "<executable>x</executable><health><tcp port='80'/></health><cleanup><argument>x</argument></cleanup>";
        let spec = load_server(server).unwrap().components.remove(0);
        let health = spec.health.unwrap();
        assert_eq!(health.probe, Probe::Tcp { host: "127.0.0.1".to_owned(), port: 80 });
        assert_eq!((health.timeout, health.failures, health.action), (seconds(2), 3, GuardAction::Restart));
        assert_eq!(spec.cleanup.unwrap().timeout, seconds(10));
    }
}

#[test]
fn includes_follow_in_order_and_each_file_counts_once() {
    let registry = load(format!("{CORPUS}/good/includes.xml"), &plain()).unwrap();
    assert_eq!(ids(&registry), ["first", "second", "third"]);
    let names: Vec<_> =
        registry.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["includes.xml", "10-a.xml", "a.xml", "20-b.xml"]);
    let executables: Vec<_> = registry.components.iter().map(|component| &component.executable).collect();
    assert_eq!(executables, [Path::new("registry"), Path::new("from more"), Path::new("late")]);
}

#[test]
fn the_stronger_source_of_a_setting_wins() {
    let registry = "<supervisor>
        <include href='a.xml'/>
        <settings><setting name='SV::a'>registry</setting><setting name='SV::temp'>t</setting></settings>
        <servers><server id='x'><executable>x</executable><arguments><argument>SV::a SV::b SV::c SV::d</argument>
        </arguments></server></servers></supervisor>";
    let included = "<supervisor><settings>
        <setting name='SV::a'>include</setting><setting name='SV::b'>include</setting>
        <setting name='SV::c'>include</setting><setting name='SV::d'>include</setting></settings></supervisor>";
    let options = LoadOptions {
        settings: vec![("SV::d".into(), "given SV::a".into())],
        environment: vec![("S7_SV_c".into(), "env".into()), ("S7_SV_d".into(), "env".into())],
        ..plain()
    };
    let (_folder, loaded) = load_text(registry, &[("a.xml", included)], &options);
    let registry = loaded.unwrap();
    // What comes from outside the files is literal.
    assert_eq!(arguments(&registry.components[0]), ["registry include env given SV::a"]);
    let origin = |name: &str| {
        let setting = registry.settings.iter().find(|setting| setting.name == name).unwrap();
        (setting.value.as_str(), setting.origin.to_string())
    };
    assert_eq!(origin("SV::c"), ("env", "S7_SV_c".into()));
    assert_eq!(origin("SV::d"), ("given SV::a", "--set".into()));
    assert_eq!(origin("SV::tracelevel"), ("2", "built-in".into()));
    let temp = registry.settings.iter().find(|setting| setting.name == "SV::temp").unwrap();
    assert!(matches!(&temp.origin, Origin::File { file, line: 3 } if file.ends_with("registry.xml")));
    assert!(registry.config.temp.ends_with("t"));
}

#[test]
fn a_setting_given_by_a_name_that_nobody_knows_is_told() {
    for (name, expected) in [
        ("PsHeapSiz", "did you mean SV::PsHeapSize?"),
        ("SV::installFolder", "cannot be set"),
        ("a b", "ASCII letters"),
        ("", "ASCII letters"),
    ] {
        let options = LoadOptions { settings: vec![(name.into(), "1".into())], ..plain() };
        let told = problems(load_text("<supervisor/>", &[], &options).1);
        assert!(told.len() == 1 && told[0].starts_with("--set") && told[0].contains(expected), "{told:?}");
    }
}

#[test]
fn a_secret_stays_one_wherever_its_value_comes_from() {
    let registry = "<supervisor><settings><setting name='SV::Key' secret='true'>x</setting></settings>
        <servers><server id='a'><executable>x</executable><environment><variable name='K'>SV::Key</variable>
        </environment></server></servers></supervisor>";
    let options = LoadOptions { settings: vec![("Key".into(), "hunter2".into())], ..plain() };
    let registry = load_text(registry, &[], &options).1.unwrap();
    assert!(registry.components[0].environment.variables[0].secret);
    assert!(registry.settings.iter().any(|setting| setting.secret && setting.value == "hunter2"));
    assert!(!format!("{registry:?} {options:?}").contains("hunter2"));
}

#[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
#[test]
fn the_install_folder_is_found_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["conf", "etc"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("r.xml"), "<supervisor/>").unwrap();
    }
    let install_folder =
        |file: &str, options: &LoadOptions| load(folder.path().join(file), options).unwrap().install_folder;
    assert_eq!(install_folder("conf/r.xml", &plain()), folder.path());
    assert_eq!(install_folder("etc/r.xml", &plain()), folder.path().join("etc"));
    let environment = vec![("S7_INSTALL_FOLDER".into(), "/from/environment".into())];
    let mut options = LoadOptions { environment, ..plain() };
    assert_eq!(install_folder("conf/r.xml", &options), Path::new("/from/environment"));
    options.install_folder = Some("/given".into());
    assert_eq!(install_folder("conf/r.xml", &options), Path::new("/given"));
}

#[test]
fn a_profile_that_two_others_share_counts_once() {
    let text = "<supervisor><profiles>
        <profile id='Base'><executable>x</executable><arguments><argument>base</argument></arguments><nice>1</nice></profile>
        <profile id='A'><profile ref='Base'/><nice>2</nice></profile>
        <profile id='B'><profile ref='Base'/></profile></profiles>
        <servers><server id='a'><profile ref='A'/><profile ref='B'/><profile ref='A'/></server></servers></supervisor>";
    let registry = load_text(text, &[], &plain()).1.unwrap();
    assert_eq!(arguments(&registry.components[0]), ["base"]);
    assert_eq!(registry.components[0].nice, Some(2));
}

#[test]
fn environment_files_are_read_in_their_place() {
    let text = "<supervisor><servers><server id='a'><executable>x</executable><environment>
        <variable name='A'>1</variable><file secret='true'>a.env</file><variable name='B'>3</variable>
        </environment></server></servers></supervisor>";
    let (folder, loaded) = load_text(text, &[("a.env", "A=2\nB='two words'\n")], &plain());
    let registry = loaded.unwrap();
    let variables = &registry.components[0].environment.variables;
    let shown: Vec<_> =
        variables.iter().map(|v| (v.name.as_str(), v.value.to_str().unwrap(), v.secret)).collect();
    assert_eq!(shown, [("A", "1", false), ("A", "2", true), ("B", "two words", true), ("B", "3", false)]);
    assert_eq!(registry.files[1], folder.path().join("a.env"));
}

#[test]
fn the_examples_of_the_manual_are_loaded() {
    let manual = include_str!("../../../docs/registry.md");
    let blocks: Vec<&str> = manual.split("```").skip(1).step_by(2).collect();
    let variables = blocks.iter().find(|block| block.contains("GREETING")).unwrap();
    let whole = |block: &&&str| block.starts_with("xml\n<supervisor") && block.ends_with("</supervisor>\n");
    let examples: Vec<_> = blocks.iter().filter(whole).map(|block| block.trim_start_matches("xml")).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("conf");
        std::fs::create_dir(&conf).unwrap();
        std::fs::write(conf.join("shop.env"), variables.trim_start()).unwrap();
        std::fs::write(conf.join("registry.xml"), example.trim_start()).unwrap();
        let registry = load(conf.join("registry.xml"), &plain()).unwrap();
        let Some(shop) = registry.components.iter().find(|component| component.id == "shop-1") else {
            continue;
        };
        assert_eq!(arguments(shop), ["-Xmx512m", "-Dserver.port=8081", "-jar", "lib/shop.jar"]);
        assert_eq!(shop.environment.variables.len(), 4);
    }
}

#[test]
fn a_problem_is_rendered_with_its_line_underlined() {
    let (folder, loaded) = load_text("<supervisor>\n  <confg/>\n</supervisor>", &[], &plain());
    let error = loaded.unwrap_err();
    let path = folder.path().join("registry.xml").display().to_string();
    let line = format!("{path}:2:4: <confg> may not stand in <supervisor>; did you mean <config>?");
    assert_eq!(error.to_string(), line);
    let rendered = error.render(false);
    assert!(rendered.contains("2 |   <confg/>") && rendered.contains("|    ^^^^^"), "{rendered}");
    assert!(error.render(true).contains('\u{1b}') && !rendered.contains('\u{1b}'));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.xml");
    let error = load(&missing, &plain()).unwrap_err();
    let expected = format!("{}:1:1: the registry cannot be read: there is no such file", missing.display());
    assert_eq!(error.to_string(), expected);
    assert!(problems(load(folder.path(), &plain()))[0].ends_with("it is a folder"));
}

#[cfg(unix)]
#[test]
fn a_device_or_a_fifo_in_place_of_a_registry_does_not_hang() {
    assert!(problems(load("/dev/zero", &plain()))[0].ends_with("it is not a regular file"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo.xml");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(problems(load(&path, &plain()))[0].ends_with("it is not a regular file"));
}

#[cfg(unix)]
#[test]
fn root_reads_nothing_that_others_could_have_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.xml");
    let options = LoadOptions { check_ownership: true, ..plain() };
    let set_mode =
        |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    std::fs::write(&path, "<supervisor><include href='*.inc'/></supervisor>").unwrap();
    set_mode(&path, 0o644);
    if !rustix::process::geteuid().is_root() {
        // The check compares with root, who did not make these files.
        assert!(problems(load(&path, &options))[0].contains("written by others than root"));
        return;
    }
    assert!(load(&path, &options).is_ok());
    for mode in [0o664, 0o646] {
        set_mode(&path, mode);
        assert!(problems(load(&path, &options))[0].contains("written by others than root"));
    }
    set_mode(&path, 0o644);
    set_mode(folder.path(), 0o777);
    assert!(problems(load(&path, &options))[0].contains("its folder"));
    set_mode(folder.path(), 0o755);
    std::fs::write(folder.path().join("a.inc"), "<supervisor/>").unwrap();
    set_mode(&folder.path().join("a.inc"), 0o666);
    assert!(problems(load(&path, &options))[0].starts_with("cannot include"));
    std::fs::remove_file(folder.path().join("a.inc")).unwrap();
    rustix::fs::chown(&path, Some(rustix::fs::Uid::from_raw(65_534)), None).unwrap();
    assert!(problems(load(&path, &options))[0].contains("written by others than root"));
}

#[cfg_attr(windows, ignore = "the paths that it expects are those of Unix")]
#[test]
fn the_temp_folder_is_found_though_the_registry_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.xml");
    let temp = |text: &str| {
        std::fs::write(&path, text).unwrap();
        assert!(load(&path, &plain()).is_err(), "{text}");
        lenient_temp(&path, &plain())
    };
    let broken = "<supervisor><config><temp>SV::t</temp></config><settings><setting name='SV::t'>run</setting></settings>";
    assert_eq!(temp(broken), folder.path().join("run"));
    assert_eq!(temp("<supervisor><config><temp>/x/y</temp><log></config"), Path::new("/x/y"));
    let config = "<config><temp>mytemp</temp></config></supervisor>";
    for before in ["<servers><server id='a'></servers>", "<profiles></profile></profiles>", "<servers/>"] {
        let text = format!("<supervisor>{before}<x/>{config}");
        assert_eq!(temp(&text), folder.path().join("mytemp"), "{before}");
    }
    assert_eq!(temp("<supervisor><config><temp>SV::unknown</temp>"), folder.path().join("temp"));
    assert_eq!(temp("garbage"), folder.path().join("temp"));
    assert_eq!(lenient_log(&path, &plain()), folder.path().join("logs/Supervisor.log"));
    let missing = folder.path().join("conf/missing.xml");
    assert_eq!(lenient_temp(&missing, &plain()), folder.path().join("temp"));
}

#[test]
fn defaults_hold_for_what_a_server_does_not_say() {
    let registry = load_server("<executable>x</executable>").unwrap();
    let (made, default) = (&registry.components[0], ProcessSpec::new("a", "x").unwrap());
    assert_eq!(made.start_priority, default.start_priority);
    assert_eq!(made.start_delay, default.start_delay);
    assert_eq!(made.stop_timeout, default.stop_timeout);
    assert_eq!(made.reset_after, default.reset_after);
    assert_eq!(made.autostart, default.autostart);
    assert_eq!(format!("{:?}", made.restart), format!("{:?}", default.restart));
}

#[test]
fn a_restart_waits_as_long_as_its_delay_says() {
    let restart =
        |attributes: &str| load_server(&format!("<executable>x</executable><restart {attributes}/>"));
    for (attributes, expected) in [
        ("delay='500'", "delay: 500s, max_delay: 500s"),
        ("delay='5'", "delay: 5s, max_delay: 60s"),
        ("delay='5' maxDelay='0'", "delay: 5s, max_delay: 0ns"),
        ("delay='5' maxDelay='5'", "delay: 5s, max_delay: 5s"),
    ] {
        let policy = format!("{:?}", restart(attributes).unwrap().components[0].restart);
        assert!(policy.contains(expected), "{attributes}: {policy}");
    }
    let told = problems(restart("delay='500' maxDelay='1m'"));
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = "server \"a\": delay (500s) must not be longer than maxDelay (60s, ";
    assert!(told[0].starts_with(expected), "{told:?}");
}

mod limits {
    use super::*;

    #[test]
    fn a_file_of_more_than_16_mib_is_refused() {
        let mut text = "<supervisor/>".to_owned();
        text.push_str(&" ".repeat((16 << 20) - text.len()));
        assert!(load_text(&text, &[], &plain()).1.is_ok());
        text.push(' ');
        assert!(problems(load_text(&text, &[], &plain()).1)[0].ends_with("it is larger than 16 MiB"));
    }

    #[test]
    fn more_than_10000_components_are_refused() {
        let server = |id: &str, instances| {
            format!("<server id='{id}'><executable>x</executable><instances>{instances}</instances></server>")
        };
        let registry = |a, b| {
            let servers = server("a", a) + &server("b", b);
            load_text(&format!("<supervisor><servers>{servers}</servers></supervisor>"), &[], &plain()).1
        };
        assert_eq!(registry(9_999, 1).unwrap().components.len(), 10_000);
        assert_eq!(
            problems(registry(9_999, 2)),
            ["server \"b\": the registry has more than 10000 components"]
        );
    }

    #[test]
    fn settings_that_grow_like_a_billion_laughs_are_refused() {
        let mut settings = "<setting name='SV::l0'>lol</setting>".to_owned();
        for level in 1..40 {
            let one_before = format!("SV::{{l{}}}", level - 1);
            settings.push_str(&format!("<setting name='SV::l{level}'>{}</setting>", one_before.repeat(10)));
        }
        let text = format!("<supervisor><settings>{settings}</settings></supervisor>");
        let told = problems(load_text(&text, &[], &plain()).1);
        assert_eq!(told, ["the value is longer than 64 KiB once its settings are put in"]);
    }

    #[test]
    fn many_uses_of_a_large_setting_are_refused() {
        let arguments = "<argument>SV::large</argument>".repeat(10_000);
        let text = format!(
            "<supervisor><settings><setting name='SV::large'>{}</setting></settings><servers><server id='a'>
             <executable>x</executable><arguments>{arguments}</arguments></server></servers></supervisor>",
            "x".repeat(60_000)
        );
        let told = problems(load_text(&text, &[], &plain()).1);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("exceed 256 MiB"), "{told:?}");
    }

    #[test]
    fn instances_of_a_server_with_many_arguments_are_refused() {
        let arguments = format!("<argument>SV::id {}</argument>", "x".repeat(10_000)).repeat(100);
        let text = format!(
            "<executable>x</executable><instances>10000</instances><arguments>{arguments}</arguments>"
        );
        let told = problems(load_server(&text));
        assert!(told.len() == 1 && told[0].contains("exceed 256 MiB"), "{told:?}");
    }

    #[test]
    fn profiles_that_refer_to_each_other_twice_do_not_grow_for_ever() {
        let mut profiles = "<profile id='p0'><executable>x</executable></profile>".to_owned();
        for level in 1..60 {
            let reference = format!("<profile ref='p{}'/>", level - 1);
            profiles.push_str(&format!("<profile id='p{level}'>{}</profile>", reference.repeat(3)));
        }
        let text = format!(
            "<supervisor><profiles>{profiles}</profiles><servers><server id='a'><profile ref='p59'/></server></servers></supervisor>"
        );
        assert!(load_text(&text, &[], &plain()).1.is_ok());
    }

    #[test]
    fn long_chains_are_refused() {
        let chain = |length: usize, link: &dyn Fn(usize) -> String| (0..length).map(link).collect::<String>();
        let profile = |n| format!("<profile id='p{n}'><profile ref='p{}'/></profile>", n + 1);
        let text = format!(
            "<supervisor><profiles>{}<profile id='p1000'/></profiles></supervisor>",
            chain(1_000, &profile)
        );
        assert!(problems(load_text(&text, &[], &plain()).1)[0].contains("deeper than 64"));
        let setting = |n| format!("<setting name='SV::s{n}'>SV::s{}</setting>", n + 1);
        let text = format!(
            "<supervisor><settings>{}<setting name='SV::s1000'>x</setting></settings></supervisor>",
            chain(1_000, &setting)
        );
        assert!(problems(load_text(&text, &[], &plain()).1)[0].contains("deeper than 64"));
        let folder = tempfile::tempdir().unwrap();
        for n in 0..100 {
            let text = format!("<supervisor><include href='{}.xml'/></supervisor>", n + 1);
            std::fs::write(folder.path().join(format!("{n}.xml")), text).unwrap();
        }
        let told = problems(load(folder.path().join("0.xml"), &plain()));
        assert!(told.len() == 1 && told[0].contains("deeper than 64"), "{told:?}");
    }

    #[test]
    fn a_million_problems_cost_neither_time_nor_memory() {
        let text = format!("<supervisor><config>{}</config></supervisor>", "<x/>".repeat(900_000));
        let error = load_text(&text, &[], &plain()).1.unwrap_err();
        assert_eq!((error.problems().len(), error.more()), (1_000, 899_000));
    }
}
