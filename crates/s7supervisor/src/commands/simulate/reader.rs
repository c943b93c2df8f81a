//! The little language of scripts: one statement to a line. `docs/restarts.md` is its manual.

use std::collections::BTreeMap;
use std::time::Duration;

use supervisor::{ComponentId, Dependants, Exit, ProcessSpec, Signal};

use super::line::{Line, Problem, Word, quoted};
use super::script::{Fate, Life, Request, Script, Verb};
use crate::naming::{means, most_like};

/// How long is simulated after the last request, where nobody says.
const USUAL_LENGTH: Duration = Duration::from_secs(600);

/// A run that ends by itself lives at least so long: in no time at all, no time would ever pass.
const SHORTEST_LIFE: Duration = Duration::from_millis(1);

/// The statements that are not about what a component does.
const KEYWORDS: [&str; 3] = ["at", "for", "seed"];

/// What a component may do.
const DEEDS: [&str; 10] =
    ["crashes", "completes", "fails", "hangs", "ignores", "is", "never", "ready", "stops", "uses"];

/// What somebody may ask for, or do.
const VERBS: [&str; 7] = ["start", "stop", "restart", "reset", "reload", "kill", "shutdown"];

impl Script {
    /// Reads a script about these components, or says everything that is wrong with it.
    pub(super) fn read(text: &str, components: &[ProcessSpec]) -> Result<Self, Vec<Problem>> {
        let script = Self { seed: 0, length: Duration::ZERO, requests: Vec::new(), lives: BTreeMap::new() };
        let mut reader = Reader { components, script, seed: false, length: None, ends: Vec::new() };
        let mut problems = Vec::new();
        for (number, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            problems.extend(reader.statement(Line::new(number, text)).err());
        }
        problems.extend(reader.finish());
        problems.sort_by_key(|problem| (problem.line, problem.column));
        if problems.is_empty() { Ok(reader.script) } else { Err(problems) }
    }
}

/// Reads one script.
struct Reader<'a> {
    components: &'a [ProcessSpec],
    script: Script,
    seed: bool,
    length: Option<Duration>,
    /// The word that says when, of each request.
    ends: Vec<(Duration, Problem)>,
}

impl Reader<'_> {
    fn statement(&mut self, mut line: Line<'_>) -> Result<(), Problem> {
        let Some(first) = line.peek() else { return Ok(()) };
        // A component may have the name of a keyword: then it does something.
        let does = line.peek_second().is_some_and(|second| DEEDS.contains(&second.text));
        if !does && KEYWORDS.contains(&first.text) {
            line.next();
            match first.text {
                "seed" => self.seed(first, &mut line)?,
                "for" => self.length(first, &mut line)?,
                _ => self.request(&mut line)?,
            }
        } else {
            self.deed(&mut line)?;
        }
        line.finish()
    }

    fn seed(&mut self, keyword: Word<'_>, line: &mut Line<'_>) -> Result<(), Problem> {
        self.script.seed = line.number("the seed", 0..=u64::MAX)?;
        let is_first = !std::mem::replace(&mut self.seed, true);
        if is_first { Ok(()) } else { Err(keyword.problem("the seed is given twice")) }
    }

    fn length(&mut self, keyword: Word<'_>, line: &mut Line<'_>) -> Result<(), Problem> {
        let is_first = self.length.replace(line.time()?).is_none();
        if is_first { Ok(()) } else { Err(keyword.problem("the length is given twice")) }
    }

    /// `at TIME VERB [ID…]`
    fn request(&mut self, line: &mut Line<'_>) -> Result<(), Problem> {
        let when = line.peek();
        let at = line.time()?;
        if let Some(when) = when {
            let never = when.problem("this is after the end: `for` says how long is simulated");
            self.ends.push((at, never));
        }
        let mut verb = match line.one_of(&VERBS)?.text {
            "start" => Verb::Start,
            "stop" => Verb::Stop(Dependants::Refuse),
            "restart" => Verb::Restart,
            "reset" => Verb::Reset,
            "reload" => Verb::Reload,
            "kill" => Verb::Kill,
            _ => Verb::Shutdown,
        };
        let mut ids = Vec::new();
        if verb != Verb::Shutdown {
            ids = self.meant_by(line.word("a component")?, &[])?;
            while let Some(name) = line.next() {
                match (name.text, &mut verb) {
                    ("--with-dependants", Verb::Stop(dependants)) => *dependants = Dependants::Stop,
                    ("--only", Verb::Stop(dependants)) => *dependants = Dependants::Leave,
                    _ => ids.extend(self.meant_by(name, &[])?),
                }
            }
        }
        self.script.requests.push(Request { at, verb, ids });
        Ok(())
    }

    /// `ID DEED`
    fn deed(&mut self, line: &mut Line<'_>) -> Result<(), Problem> {
        let name = line.word("a component")?;
        let ids = self.meant_by(name, &KEYWORDS)?;
        let does = line.word("what it does")?;
        let does = if does.text == "is" { line.one_of(&["ready", "never"])? } else { does };
        match does.text {
            "crashes" => {
                let count = count(line)?;
                let after = life(line, &["after", "every"])?;
                let exit = if line.skip("with") { exit(line)? } else { Exit::Code(1) };
                self.add(&ids, does, |life| life.fates.add(count, Fate::Ends(after, exit)))
            }
            "completes" => {
                let count = count(line)?;
                let after = life(line, &["after"])?;
                self.add(&ids, does, |life| life.fates.add(count, Fate::Ends(after, Exit::Code(0))))
            }
            "fails" => {
                line.one_of(&["to"])?;
                line.one_of(&["start"])?;
                let count = count(line)?;
                self.add(&ids, does, |life| life.fates.add(count, Fate::FailsToStart))
            }
            "hangs" => {
                let count = count(line)?;
                let after = life(line, &["after"])?;
                let is_watched = |spec: &ProcessSpec| spec.health.is_some() || spec.watchdog.is_some();
                self.check(&ids, is_watched, does, "hangs: it has neither <health> nor <watchdog>")?;
                self.add(&ids, does, |life| life.fates.add(count, Fate::Hangs(after)))
            }
            "ready" | "never" => self.ready(&ids, does, line),
            "ignores" => {
                line.one_of(&["the"])?;
                line.one_of(&["stop"])?;
                let count = count(line)?;
                self.add(&ids, does, |life| life.stop.add(count, None))
            }
            "stops" => {
                let count = count(line)?;
                line.one_of(&["after"])?;
                let after = line.time()?;
                self.add(&ids, does, |life| life.stop.add(count, Some(after)))
            }
            "uses" => {
                let count = count(line)?;
                let memory = line.size()?;
                self.check(&ids, |spec| spec.memory.is_some(), does, "uses too much: it has no <memory>")?;
                self.add(&ids, does, |life| life.memory.add(count, memory))
            }
            _ => Err(does.is_none_of(&DEEDS)),
        }
    }

    /// `ready after TIME`, `never ready`
    fn ready(&mut self, ids: &[ComponentId], does: Word<'_>, line: &mut Line<'_>) -> Result<(), Problem> {
        let is_never = does.text == "never";
        if is_never {
            line.one_of(&["ready"])?;
        }
        let count = count(line)?;
        let mut after = None;
        if !is_never {
            line.one_of(&["after"])?;
            after = Some(line.time()?);
        }
        let is_asked = |spec: &ProcessSpec| spec.readiness.is_some();
        self.check(ids, is_asked, does, "is ready: it has no <readiness>")?;
        self.add(ids, does, |life| life.ready.add(count, after))
    }

    /// What nobody would notice is a mistake, in the script or in the registry.
    fn check(
        &self,
        ids: &[ComponentId],
        notices: impl Fn(&ProcessSpec) -> bool,
        word: Word<'_>,
        what: &str,
    ) -> Result<(), Problem> {
        let mut meant = self.components.iter().filter(|spec| ids.contains(&spec.id));
        if meant.any(notices) {
            return Ok(());
        }
        let id = ids.first().map(ComponentId::as_str).unwrap_or_default();
        Err(word.problem(format!("nobody would notice when {id} {what}")))
    }

    fn add(
        &mut self,
        ids: &[ComponentId],
        word: Word<'_>,
        add: impl Fn(&mut Life) -> bool,
    ) -> Result<(), Problem> {
        for id in ids {
            if !add(self.script.lives.entry(id.clone()).or_default()) {
                return Err(word.problem(format!(
                    "no run of {id} is left for this: a statement above holds for all of them; say there how many, \
                     \"once\" or \"3 times\""
                )));
            }
        }
        Ok(())
    }

    /// The components that a name means. `others` are words that might have been meant as well.
    fn meant_by(&self, name: Word<'_>, others: &[&str]) -> Result<Vec<ComponentId>, Problem> {
        let meant = self.components.iter().filter(|spec| means(name.text, spec));
        let ids: Vec<_> = meant.map(|spec| spec.id.clone()).collect();
        if !ids.is_empty() {
            return Ok(ids);
        }
        let known = self.components.iter().map(|spec| spec.id.as_str()).chain(others.iter().copied());
        let likely =
            if name.text.len() > ComponentId::MAX_LENGTH { None } else { most_like(name.text, known) };
        let advice = likely.map(|id| format!("; did you mean {id:?}?")).unwrap_or_default();
        Err(name.problem(format!("there is no component {}{advice}", quoted(name.text))))
    }

    /// Puts the requests in order. What comes after the end is wrong.
    fn finish(&mut self) -> Vec<Problem> {
        self.script.requests.sort_by_key(|request| request.at);
        let last = self.script.requests.last().map_or(Duration::ZERO, |request| request.at);
        let length = self.length.unwrap_or(last + USUAL_LENGTH);
        self.script.length = length;
        let late = std::mem::take(&mut self.ends).into_iter().filter(|(at, _)| *at > length);
        late.map(|(_, problem)| problem).collect()
    }
}

/// `once`, `N times`, or nothing, which means for ever.
fn count(line: &mut Line<'_>) -> Result<Option<u64>, Problem> {
    if line.skip("once") {
        return Ok(Some(1));
    }
    let is_number = |word: Word<'_>| word.text.bytes().all(|byte| byte.is_ascii_digit());
    if !line.peek().is_some_and(is_number) {
        return Ok(None);
    }
    let count = line.number("how often", 1..=1_000_000)?;
    line.one_of(&["times"])?;
    Ok(Some(count))
}

/// `after TIME`, of something that ends by itself.
fn life(line: &mut Line<'_>, words: &[&str]) -> Result<Duration, Problem> {
    line.one_of(words)?;
    Ok(line.time()?.max(SHORTEST_LIFE))
}

/// `code N`, `signal NAME`
fn exit(line: &mut Line<'_>) -> Result<Exit, Problem> {
    if line.one_of(&["code", "signal"])?.text == "code" {
        return Ok(Exit::Code(line.number("the exit code of a crash", 1..=255)?));
    }
    let name = line.word("the name of a signal")?;
    let signal = Signal::from_name(name.text)
        .ok_or_else(|| name.problem(format!("{} is no signal; write SEGV, KILL, …", quoted(name.text))))?;
    Ok(Exit::Signal { signal: signal.number(), core_dumped: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use supervisor::{Readiness, ReadyWhen};

    fn components() -> Vec<ProcessSpec> {
        let mut components =
            ["is", "ps", "at", "web-1", "web-2"].map(|id| ProcessSpec::new(id, "/x").unwrap());
        components[1].watchdog = Some(Duration::from_secs(30));
        components[1].readiness =
            Some(Readiness { when: ReadyWhen::Notified, timeout: Duration::from_secs(60) });
        components[1].restart = Arc::new(supervisor::Never);
        components.to_vec()
    }

    fn read(text: &str) -> Script {
        Script::read(text, &components()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn problems(text: &str) -> Vec<(usize, usize, String)> {
        let problems = Script::read(text, &components()).unwrap_err();
        problems.into_iter().map(|problem| (problem.line, problem.column, problem.message)).collect()
    }

    fn life(script: &Script, id: &str) -> Life {
        script.lives[&ComponentId::new(id).unwrap()].clone()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn statements_about_one_component_hold_one_after_the_other() {
        let script = read(
            "ps crashes 2 times after 3s with code 78\nps completes once after 0s # in no time\n\
             ps hangs once after 1m\nps fails to start 2 times\nps crashes every 2s with signal SEGV",
        );
        let fates = life(&script, "ps").fates;
        let crash = Fate::Ends(SECOND * 3, Exit::Code(78));
        let fault = Exit::Signal { signal: 11, core_dumped: false };
        let expected = [
            (1, crash),
            (2, crash),
            (3, Fate::Ends(SHORTEST_LIFE, Exit::Code(0))),
            (4, Fate::Hangs(SECOND * 60)),
            (5, Fate::FailsToStart),
            (6, Fate::FailsToStart),
            (7, Fate::Ends(SECOND * 2, fault)),
            (1_000_000, Fate::Ends(SECOND * 2, fault)),
        ];
        for (run, fate) in expected {
            assert_eq!(fates.of(run), Some(fate), "run {run}");
        }
        let once = life(&read("is crashes once after 1s"), "is");
        assert_eq!(once.fates.of(2), None);
    }

    #[test]
    fn readiness_and_stopping_are_said_apart_from_what_becomes_of_a_run() {
        let script = read(
            "ps never ready once\nps is ready 2 times after 4s\nps ignores the stop once\nps stops after 5s\nis stops after 0",
        );
        let ps = life(&script, "ps");
        let ready = [Some(None), Some(Some(SECOND * 4)), Some(Some(SECOND * 4)), None];
        assert_eq!([1, 2, 3, 4].map(|run| ps.ready.of(run)), ready);
        assert_eq!(
            [1, 2, 9].map(|run| ps.stop.of(run)),
            [Some(None), Some(Some(SECOND * 5)), Some(Some(SECOND * 5))]
        );
        assert_eq!(ps.fates.of(1), None);
        assert_eq!(life(&script, "is").stop.of(1), Some(Some(Duration::ZERO)));
    }

    #[test]
    fn requests_come_in_the_order_of_their_time_and_the_usual_length_counts_from_the_last() {
        let script = read("seed 42\nat 5m shutdown\nat 10s stop web-* is\nat 10s kill web-2");
        let told: Vec<_> =
            script.requests.iter().map(|request| (request.at.as_secs(), request.verb)).collect();
        assert_eq!(told, [(10, Verb::Stop(Dependants::Refuse)), (10, Verb::Kill), (300, Verb::Shutdown)]);
        let ids: Vec<_> = script.requests[0].ids.iter().map(ComponentId::as_str).collect();
        assert_eq!(ids, ["web-1", "web-2", "is"]);
        assert_eq!((script.seed, script.length), (42, SECOND * 900));
        assert_eq!(read("").length, SECOND * 600);
        assert_eq!(read("\u{feff}for 1h").length, SECOND * 3_600);
    }

    #[test]
    fn a_stop_says_what_happens_to_dependants_as_on_the_command_line() {
        let script = read("at 1s stop is --with-dependants\nat 2s stop is --only ps");
        let verbs: Vec<_> = script.requests.iter().map(|request| (request.verb, request.ids.len())).collect();
        assert_eq!(verbs, [(Verb::Stop(Dependants::Stop), 1), (Verb::Stop(Dependants::Leave), 2)]);
        assert_eq!(problems("at 1s start is --only")[0].1, 16);
    }

    #[test]
    fn a_component_may_have_the_name_of_a_keyword() {
        let script = read("at crashes every 3s\nat 3s stop at");
        assert!(life(&script, "at").fates.of(1).is_some());
        assert_eq!(script.requests[0].ids[0], "at");
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let cases = [
            ("sed 42", 1, "there is no component \"sed\"; did you mean \"seed\"?"),
            ("at 1s stop pss", 12, "there is no component \"pss\"; did you mean \"ps\"?"),
            ("is crashes 3s", 12, "here may stand \"after\" or \"every\", not \"3s\""),
            ("is crashes 5", 13, "\"times\" is missing"),
            ("is crashes 0 times after 3s", 12, "how often is a number from 1 to 1000000, not \"0\""),
            ("is crashes every", 17, "a time (5, 0.5, 250ms, 5s, 2m, 1h) is missing"),
            (
                "is crashes after 1s with code 0",
                31,
                "the exit code of a crash is a number from 1 to 255, not \"0\"",
            ),
            (
                "is hangs after 3s",
                4,
                "nobody would notice when is hangs: it has neither <health> nor <watchdog>",
            ),
            ("is is never ready", 7, "nobody would notice when is is ready: it has no <readiness>"),
            ("for 1s 2s", 8, "\"2s\" is too much: the statement is complete before it"),
            ("at 1s shutdown now", 16, "\"now\" is too much: the statement is complete before it"),
        ];
        for (text, column, message) in cases {
            assert_eq!(problems(text), [(1, column, message.to_owned())], "{text}");
        }
        let several =
            problems("for 3s\nfor 4s\nat 5s stop is\nzzz\nis crashes every 3s\nis crashes every 4s");
        let places: Vec<_> = several.iter().map(|(line, column, _)| (*line, *column)).collect();
        assert_eq!(places, [(2, 1), (3, 4), (4, 1), (6, 4)]);
    }

    fn words() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "is", "ps", "at", "web", "*", "crashes", "every", "after", "once", "3", "times", "3s", "0",
            "1e999", "with", "code", "signal", "SEGV", "ready", "never", "hangs", "fails", "to", "start",
            "for", "seed", "stop", "kill", "#", "\n", "ä",
        ]);
        prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn any_text_is_a_script_or_has_problems_at_places_in_it(text in prop_oneof![any::<String>(), words()]) {
            match Script::read(&text, &components()) {
                Ok(script) => {
                    prop_assert!(script.requests.iter().all(|request| request.at <= script.length));
                    prop_assert!(script.requests.is_sorted_by_key(|request| request.at));
                }
                Err(problems) => {
                    prop_assert!(!problems.is_empty());
                    for Problem { line, column, message } in problems {
                        let text = text.trim_start_matches('\u{feff}').lines().nth(line - 1);
                        prop_assert!(text.is_some_and(|text| column <= text.chars().count() + 1));
                        prop_assert!(message.len() < 400 && !message.contains(char::is_control), "{}", message);
                    }
                }
            }
        }
    }
}
