//! Completions in real shells, and manual pages.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the tests start programs")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "command_line/house.rs"]
#[expect(dead_code, reason = "the other tests of the command line need more of it")]
mod house;

use std::io::Write;
use std::process::Output;

use house::{House, PROGRAM, code, kill, stand_in, stderr, stdout};
use rustix::process::Signal;

/// The shells, by their packages too.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Completes a line as bash does at TAB, and tells each candidate in a line.
const BASH: &str = r#"
    source <("$0" completions bash)
    read -r -a COMP_WORDS <<<"$1"
    [[ $1 != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _clap_complete_s7supervisor s7supervisor "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The same of fish, which can be asked.
const FISH: &str = "$argv[1] completions fish | source; complete --do-complete $argv[2]";

/// The same of zsh, with a TAB at a terminal; what it would run then is told. So only one candidate can be seen.
const ZSH: &str = r#"
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z "PS1=; autoload -Uz compinit && compinit -u -D; source <($1 completions zsh)"
    zpty -w z "s7supervisor() { print -r -- \"[\$*]\" }; print rea''dy"
    zpty -r z seen '*ready*'
    zpty -w -n z "$2"$'\t\n'
    zpty -r z seen $'*\n\\[*\\]*'
    print -r -- ${${seen##*$'\n'\[}%%\]*}
    zpty -d z
"#;

/// Whether a shell is there; where it is not, says so, and in CI, where all must run, fails.
fn has(shell: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(shell).exists());
    assert!(is_there || std::env::var_os("CI").is_none(), "there is no {shell} (package {shell})");
    if !is_there {
        // Straight to the descriptor: what a passing test prints is not shown.
        writeln!(std::io::stderr(), "skipped: there is no {shell} (package {shell})")
            .expect("stderr is open");
    }
    is_there
}

/// What a shell makes of this line at TAB.
fn completed(house: &House, shell: &str, line: &str) -> Output {
    let mut command = house.command(shell);
    match shell {
        "bash" => command.args(["--norc", "-c", BASH, PROGRAM, line]),
        "zsh" => command.args(["-f", "-c", ZSH, "zsh", PROGRAM, line]),
        _ => command.args(["--no-config", "-c", FISH, PROGRAM, line]),
    };
    command.env("HOME", house.path(".")).env("TERM", "xterm");
    let output = command.output().unwrap();
    assert_eq!(stderr(&output), "", "{shell}: {line}");
    output
}

/// The candidates that a shell is offered, without what it is told of them.
fn candidates(house: &House, shell: &str, line: &str) -> Vec<String> {
    let output = stdout(&completed(house, shell, line));
    let words = output.lines().map(|line| line.split('\t').next().unwrap_or_default().trim().to_owned());
    words.filter(|word| !word.is_empty()).collect()
}

/// Completes a line, again where it has to be: a supervisor that gets no processor for 200 ms is not waited for.
fn assert_completed(house: &House, shell: &str, line: &str, is_so: impl Fn(&[String]) -> bool) {
    house.until(|| is_so(&candidates(house, shell, line)));
}

/// The same where the candidates are to be these.
fn assert_candidates(house: &House, shell: &str, line: &str, expected: &[&str]) {
    assert_completed(house, shell, line, |found| found == expected);
}

/// The same of a line for which there is only one candidate: its last word.
fn assert_completed_to(house: &House, shell: &str, line: &str, expected: &str) {
    assert_completed(
        house,
        shell,
        line,
        |found| matches!(found, [only] if only.rsplit(' ').next() == Some(expected)),
    );
}

#[test]
fn each_shell_completes_commands_options_and_the_ids_of_the_running_supervisor() {
    let house = House::with(&["platform", "image-1", "image-2"].map(|id| stand_in(id, "", "")).concat());
    house.start();
    for shell in SHELLS.into_iter().filter(|shell| has(shell)) {
        for (line, expected) in [
            ("resta", "restart"),
            ("restart p", "platform"),
            ("status platform image-1 pl", "platform"),
            ("wait platform --for sto", "stopped"),
            ("start --no-w", "--no-wait"),
            ("signal TER", "TERM"),
            ("signal HUP pl", "platform"),
            ("why pl", "platform"),
            ("logs -f pl", "platform"),
            ("check conf/Sup", "conf/SupervisorRegistry.xml"),
        ] {
            assert_completed_to(&house, shell, &format!("s7supervisor {line}"), expected);
        }
    }
    for shell in ["bash", "fish"].into_iter().filter(|shell| has(shell)) {
        assert_candidates(&house, shell, "s7supervisor stop im", &["image-1", "image-2"]);
        assert!(
            !candidates(&house, shell, "s7supervisor ").contains(&"takeover-check".to_owned()),
            "{shell}"
        );
    }
    if has("fish") {
        house.until(|| stdout(&completed(&house, "fish", "s7supervisor stop pl")) == "platform\tup\n");
    }
}

#[test]
fn which_supervisor_is_asked_is_said_on_the_line_or_in_the_environment() {
    let (here, there) = (House::with(&stand_in("here", "", "")), House::with(&stand_in("there", "", "")));
    here.start();
    there.start();
    let temp = there.path("temp").to_str().unwrap().to_owned();
    for shell in ["bash", "fish"].into_iter().filter(|shell| has(shell)) {
        assert_candidates(&here, shell, "s7supervisor restart h", &["here"]);
        let line = format!("s7supervisor --temp {temp} restart t");
        assert_candidates(&here, shell, &line, &["there"]);
        let registry = there.registry();
        let line = format!("s7supervisor restart --registry {} t", registry.to_str().unwrap());
        assert_candidates(&here, shell, &line, &["there"]);
    }
    let mut asked = here.command(PROGRAM);
    asked.args(["--", "s7supervisor", "restart", "t"]).env("S7_COMPLETE", "fish").env("S7_TEMP", &temp);
    here.until(|| stdout(&asked.output().unwrap()) == "there\tup\n");
}

#[test]
fn without_a_supervisor_and_with_one_that_hangs_there_are_no_ids_and_nobody_is_kept_waiting() {
    let house = House::with(&stand_in("ps", "", ""));
    let ask = || {
        let mut asked = house.command(PROGRAM);
        let asked =
            asked.args(["--", "s7supervisor", "restart", "p"]).env("S7_COMPLETE", "fish").output().unwrap();
        (stdout(&asked), stderr(&asked), code(&asked))
    };
    let nothing = (String::new(), String::new(), 0);
    assert_eq!(ask(), nothing, "nobody is there");
    house.start();
    house.until(|| ask().0 == "ps\tup\n");
    let pid = house.supervisor_pid();
    kill(pid, Signal::STOP);
    let since = std::time::Instant::now();
    let asked = ask();
    let took = since.elapsed();
    kill(pid, Signal::CONT);
    assert_eq!(asked, nothing, "it hangs");
    assert!(took.as_secs() < 10, "{took:?}: it takes 10 s for others to give up");
    std::fs::write(house.registry(), "<supervisor>").unwrap();
    // A registry that an edit has broken names the same folder still.
    house.until(|| ask().0 == "ps\tup\n");
}

#[test]
fn a_registration_names_the_program_as_it_was_called() {
    let house = House::with("");
    for shell in SHELLS {
        let script = house.s7(&["completions", shell]);
        assert_eq!(code(&script), 0);
        assert!(stdout(&script).contains(PROGRAM) && stdout(&script).contains("S7_COMPLETE"), "{shell}");
    }
    let refused = house.s7(&["completions", "tcsh"]);
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("bash"), "{}", stderr(&refused));
}

#[test]
fn manual_pages_are_printed_and_written() {
    let house = House::with("");
    let printed = house.s7(&["man"]);
    assert!(stdout(&printed).contains(".TH s7supervisor 1"), "{}", stdout(&printed));
    let written = house.s7(&["man", "pages/man1"]);
    assert_eq!(code(&written), 0, "{}", stderr(&written));
    let page = std::fs::read_to_string(house.path("pages/man1/s7supervisor-wait.1")).unwrap();
    for fact in ["--for", "s7supervisor wait ps --timeout 2m", "151"] {
        assert!(page.replace('\\', "").contains(fact), "{fact} in {page}");
    }
    let refused = house.s7(&["man", "conf/SupervisorRegistry.xml"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("cannot write pages to"), "{}", stderr(&refused));
}
