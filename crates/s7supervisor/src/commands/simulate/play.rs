//! The simulated world of a registry: mock components that live as the script says, and what becomes of them.

use std::cell::Cell;
use std::time::Duration;

use supervisor::registry::Registry;
use supervisor::testing::{Behaviour, Circumstances, Mock, Ticket, World};
use supervisor::{ProcessSpec, Step, Targets};

use super::script::{Fate, Life, Request, Script, Verb};
use super::timeline::Timeline;

/// The most events of a timeline: nobody reads more.
const MOST_EVENTS: usize = 100_000;

/// The most steps of a world, where hardly one of them makes an event: a probe every second of a year, say.
const MOST_STEPS: u64 = 2_000_000;

/// Lets the registry live as the script says.
pub(super) fn play(registry: &Registry, script: &Script) -> Timeline {
    let mocks = registry.components.iter().map(|spec| mock(spec, script));
    let circumstances = Circumstances {
        seed: script.seed,
        restart_budget: registry.config.restart_budget,
        on_give_up: registry.config.on_give_up,
        ..Circumstances::default()
    };
    let world = World::under(mocks, circumstances);
    let mut play = Play { world, timeline: Timeline::default(), steps: Cell::new(0) };
    for request in &script.requests {
        if !play.advance(request.at) {
            return play.finish();
        }
        play.carry_out(request);
    }
    play.advance(script.length);
    play.finish()
}

/// A world, and what has been told of it so far.
struct Play {
    world: World,
    timeline: Timeline,
    steps: Cell<u64>,
}

impl Play {
    /// Lets time pass until then. False if nothing comes after: all has ended, or there is too much of it.
    fn advance(&mut self, until: Duration) -> bool {
        let (steps, time) = (&self.steps, until.saturating_sub(self.world.now()));
        let is_too_much = |world: &World| {
            steps.set(steps.get() + 1);
            steps.get() > MOST_STEPS || world.events().len() > MOST_EVENTS
        };
        let stopped = self.world.run_until(time, |world| world.has_ended() || is_too_much(world));
        if !stopped {
            // What was due has happened; this only moves the clock.
            self.world.run_for(until.saturating_sub(self.world.now()));
        }
        self.timeline.note(self.world.events());
        if stopped && !self.world.has_ended() {
            self.timeline.cut_off();
        }
        !stopped
    }

    fn carry_out(&mut self, request: &Request) {
        let targets = || {
            let ids: Vec<_> = request.ids.iter().map(supervisor::ComponentId::as_str).collect();
            Targets::from(ids.as_slice())
        };
        let ticket: Option<Ticket> = match request.verb {
            Verb::Start => Some(self.world.start(targets())),
            Verb::Stop(dependants) => Some(self.world.stop_with(targets(), dependants)),
            Verb::Restart => Some(self.world.restart(targets())),
            Verb::Reset => Some(self.world.reset(targets())),
            Verb::Reload => Some(self.world.reload(targets())),
            Verb::Shutdown => Some(self.world.shutdown()),
            Verb::Kill => {
                for id in &request.ids {
                    self.timeline.killed(self.world.now(), id);
                    self.world.crash(id.as_str());
                    self.timeline.note(self.world.events());
                }
                None
            }
        };
        if let Some(error) = ticket.and_then(|ticket| self.world.refusal(ticket)) {
            let (now, message) = (self.world.now(), error.to_string());
            self.timeline.refused(now, request, &message);
        }
        self.timeline.note(self.world.events());
    }

    fn finish(mut self) -> Timeline {
        let world = &self.world;
        self.timeline.finish(world.now(), &world.status(), |id| world.runs(id));
        self.timeline
    }
}

fn mock(spec: &ProcessSpec, script: &Script) -> Mock {
    let life = script.lives.get(&spec.id).cloned().unwrap_or_default();
    let ordinary = ordinary(spec);
    Mock::of(spec.clone()).behaves_by_run(move |run| behaviour(ordinary.clone(), &life, run))
}

/// What a run does that nothing is said of: it stops by the first signal that it is to be stopped by.
fn ordinary(spec: &ProcessSpec) -> Behaviour {
    let signal = spec.stop.iter().find_map(|step| match step {
        Step::Signal { signal, .. } => Some(*signal),
        _ => None,
    });
    signal.map_or_else(Behaviour::steady, |signal| Behaviour::steady().stops_by(signal))
}

/// What this run does.
fn behaviour(ordinary: Behaviour, life: &Life, run: u64) -> Behaviour {
    let mut behaviour = match life.fates.of(run) {
        None => ordinary,
        Some(Fate::Ends(after, exit)) => ordinary.ends_after(after, exit),
        Some(Fate::FailsToStart) => ordinary.fails_to_start(),
        Some(Fate::Hangs(after)) => ordinary.hangs_after(after),
    };
    behaviour = match life.ready.of(run) {
        None => behaviour,
        Some(None) => behaviour.never_ready(),
        Some(Some(after)) => behaviour.ready_after(after),
    };
    behaviour = match life.stop.of(run) {
        None => behaviour,
        Some(None) => behaviour.ignores_stop(),
        Some(Some(after)) => behaviour.slow_to_stop(after),
    };
    match life.memory.of(run) {
        None => behaviour,
        Some(memory) => behaviour.uses(memory),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;
    use supervisor::registry::LoadOptions;

    /// Everything that decides about restarts, at once.
    const REGISTRY: &str = r#"<supervisor>
  <config><restartBudget max="3" within="10s"/><onGiveUp>shutdown</onGiveUp></config>
  <servers>
    <server id="database"><executable>/bin/x</executable><stopTimeout>5</stopTimeout>
      <readiness timeout="10s"><tcp port="1"/></readiness>
      <health interval="2s" timeout="1s"><exec><argument>x</argument></exec></health>
      <evidence><signal name="QUIT" wait="1s"/></evidence></server>
    <server id="migrate"><executable>/bin/x</executable><restart policy="never"/><dependsOn ref="database"/></server>
    <server id="web"><executable>/bin/x</executable><instances>2</instances><startPriority>2</startPriority>
      <dependsOn ref="migrate" condition="completed"/><restartGroup name="web" strategy="oneForAll"/></server>
    <server id="is"><executable>/bin/x</executable><essential>true</essential><watchdog timeout="4s"/>
      <readiness timeout="5s"><notify/></readiness>
      <restart max="3" within="20s" retryAfter="10s"><exit code="78" action="stop"/></restart></server>
    <server id="ps"><executable>/bin/x</executable><memory max="1g"/><dependsOn ref="is"/><autostart>false</autostart>
      <restartGroup name="tail" strategy="restForOne"/><stopTimeout>3</stopTimeout></server>
    <server id="svg"><executable>/bin/x</executable><startDelay>2</startDelay><restartGroup name="tail" strategy="restForOne"/>
      <stop><signal name="INT" wait="2s"/><exec timeout="1s"><argument>x</argument></exec></stop>
      <cleanup timeout="1s"><argument>x</argument></cleanup></server>
  </servers>
</supervisor>"#;

    fn registry() -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.xml");
        fs::write(&path, REGISTRY).unwrap();
        Registry::load(&path, &LoadOptions::default()).unwrap()
    }

    fn statement() -> impl Strategy<Value = String> {
        let id = || select(vec!["database", "migrate", "web", "web-1", "is", "ps", "svg", "*"]);
        let deed = select(vec![
            "crashes 3 times after 200ms",
            "crashes once after 3s with code 78",
            "crashes every 1s",
            "completes once after 2s",
            "fails to start 2 times",
            "ignores the stop",
            "stops once after 2s",
        ]);
        let guarded = select(vec![
            "database hangs once after 7s",
            "is hangs after 3s",
            "database is never ready once",
            "is is ready after 4s",
            "ps uses 2g",
        ]);
        let verb = select(vec![
            "start",
            "stop",
            "stop --only",
            "stop --with-dependants",
            "restart",
            "reset",
            "reload",
            "kill",
        ]);
        prop_oneof![
            (id(), deed).prop_map(|(id, deed)| format!("{id} {deed}")),
            guarded.prop_map(str::to_owned),
            (0..60_000_u32, verb, id()).prop_map(|(at, verb, id)| format!("at {at}ms {verb} {id}")),
            (60_000..120_000_u32).prop_map(|at| format!("at {at}ms shutdown")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The world itself checks after every step what must always be true.
        #[test]
        fn any_script_can_be_played_and_always_gives_the_same_timeline(
            seed: u64,
            statements in prop::collection::vec(statement(), 0..12),
        ) {
            let registry = registry();
            let text = format!("seed {seed}\nfor 2m\n{}", statements.join("\n"));
            // Of some components nothing more can be said.
            let Ok(script) = Script::read(&text, &registry.components) else { return Ok(()) };
            let timeline = play(&registry, &script);
            prop_assert!(timeline.is_cut_off().is_none());
            prop_assert_eq!(timeline.for_people(), play(&registry, &script).for_people());
        }
    }
}
