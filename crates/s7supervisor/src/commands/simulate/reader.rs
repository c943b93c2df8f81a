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
mod tests;
