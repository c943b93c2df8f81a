//! Runs that are on their way: decided, but their programs do not run yet.
//!
//! The driver waits neither for a name service that is asked for a user nor for a file system on which a program lies. Accounts
//! are looked up by a thread of their own; and a child that has not become its program at once is left to itself until
//! it has. A run for which either takes longer than [`LIMIT`] could not be spawned, and is tried again as such runs are.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use polling::Poller;

use super::handle::{Command, Mailbox};
use super::helper::Helper;
use crate::error::{SpawnError, SpawnStep};
use crate::os::{Account, Fledgling, Process, ReadEnd, Terms, Watched};
use crate::run::RunId;
use crate::spec::ProcessSpec;

/// How long a run may be on its way.
const LIMIT: Duration = Duration::from_secs(10);

/// The keys of the poller from here on are given here.
const FIRST_KEY: usize = 1 << (usize::BITS - 3);

/// All that are on their way, and who they run as.
#[derive(Debug)]
pub(super) struct Launches {
    /// What holds for all of them.
    pub(super) terms: Terms,
    poller: Arc<Poller>,
    mailbox: Mailbox,
    /// Asks the name service.
    finder: Helper,
    /// Looks at files that have taken long before.
    explainer: Helper,
    /// What each that is on its way waits for.
    waits: HashMap<RunId, Wait>,
    /// Until when each may be on its way, the oldest first; and some that are not any more.
    limits: VecDeque<(Duration, RunId)>,
    sought: HashMap<Named, Vec<Seeker>>,
    children: HashMap<usize, Child>,
    last_key: usize,
    /// Who the last run of a component runs as: its commands do too.
    accounts: HashMap<u32, Arc<Account>>,
}

/// A user and a group, as a specification names them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    user: Option<String>,
    group: Option<String>,
}

/// Who wants an account.
#[derive(Clone, Copy, Debug)]
enum Seeker {
    /// A run that cannot begin without.
    Run(RunId),
    /// A component whose run goes on, for its commands.
    Component(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Account,
    /// The child of this key.
    Program(usize),
    /// Why its child has failed.
    Explanation,
}

/// A child that is not its program yet.
#[derive(Debug)]
struct Child {
    run: RunId,
    token: Arc<str>,
    fledgling: Fledgling,
    over: Watched<ReadEnd>,
}

/// A child that has become its program.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) run: RunId,
    pub(super) token: Arc<str>,
    pub(super) process: Process,
}

impl Launches {
    pub(super) fn new(poller: Arc<Poller>, mailbox: Mailbox, terms: Terms) -> Self {
        Self {
            terms,
            poller,
            mailbox,
            finder: Helper::new("accounts"),
            explainer: Helper::new("reasons"),
            waits: HashMap::new(),
            limits: VecDeque::new(),
            sought: HashMap::new(),
            children: HashMap::new(),
            last_key: FIRST_KEY,
            accounts: HashMap::new(),
        }
    }

    /// Who the commands of a component run as, if it has an account.
    pub(super) fn account(&self, component: u32) -> Option<Arc<Account>> {
        self.accounts.get(&component).cloned()
    }

    /// A component is none any more.
    pub(super) fn forget(&mut self, component: u32) {
        self.accounts.remove(&component);
    }

    /// Has the account of a run looked up; [`found`](Self::found) tells of it.
    ///
    /// # Errors
    /// When it will not be looked up.
    pub(super) fn seek(&mut self, run: RunId, spec: &ProcessSpec, now: Duration) -> Result<(), SpawnError> {
        if let Err(named) = self.look_up(Seeker::Run(run), spec) {
            let reason = format!("{named}: too many users are being looked up");
            return Err(SpawnError { step: SpawnStep::User, reason, os_error: None });
        }
        self.wait(run, Wait::Account, now);
        Ok(())
    }

    /// Has the account of a component looked up whose run another supervisor has begun. Until it is found, its commands
    /// cannot be run.
    pub(super) fn learn(&mut self, component: u32, spec: &ProcessSpec) {
        if Account::is_needed(spec) {
            let _ = self.look_up(Seeker::Component(component), spec);
        }
    }

    fn look_up(&mut self, seeker: Seeker, spec: &ProcessSpec) -> Result<(), Named> {
        let named = Named { user: spec.user.clone(), group: spec.group.clone() };
        if let Some(seekers) = self.sought.get_mut(&named) {
            seekers.push(seeker);
            return Ok(());
        }
        let (mailbox, sought) = (self.mailbox.clone(), named.clone());
        let taken = self.finder.ask(move || {
            let account = Account::find(sought.user.as_deref(), sought.group.as_deref());
            mailbox.send(Command::Found { named: sought, account: account.map(|it| it.map(Arc::new)) });
        });
        if !taken {
            return Err(named);
        }
        self.sought.insert(named, vec![seeker]);
        Ok(())
    }

    /// The runs that have waited for this account, and still do.
    pub(super) fn found(
        &mut self,
        named: &Named,
        account: &Result<Option<Arc<Account>>, SpawnError>,
    ) -> Vec<RunId> {
        let mut runs = Vec::new();
        for seeker in self.sought.remove(named).unwrap_or_default() {
            match (seeker, account) {
                (Seeker::Run(run), _) if self.waits.remove(&run).is_some() => runs.push(run),
                (Seeker::Component(component), Ok(Some(account))) => {
                    // A run that has begun meanwhile knows better.
                    self.accounts.entry(component).or_insert_with(|| Arc::clone(account));
                }
                _ => {}
            }
        }
        runs
    }

    /// A run has begun as this account, or as ours.
    pub(super) fn remember(&mut self, run: RunId, account: Option<Arc<Account>>) {
        if let Some(account) = account {
            self.accounts.insert(run.component, account);
        }
    }

    /// A child of this run is left to itself until it is its program.
    ///
    /// # Errors
    /// When it cannot be watched; it is killed then.
    pub(super) fn await_program(
        &mut self,
        run: RunId,
        token: Arc<str>,
        fledgling: Fledgling,
        over: ReadEnd,
        now: Duration,
    ) -> io::Result<()> {
        self.last_key += 1;
        let key = self.last_key;
        let over = Watched::new(over, &self.poller, key).inspect_err(|_| fledgling.process().kill())?;
        self.children.insert(key, Child { run, token, fledgling, over });
        self.wait(run, Wait::Program(key), now);
        Ok(())
    }

    /// Those that have become their programs since this was last asked. For those that have failed, somebody finds out why,
    /// and tells.
    pub(super) fn arrivals(&mut self) -> Vec<Arrival> {
        let landed: Vec<_> = self.children.extract_if(|_, child| child.fledgling.has_landed()).collect();
        landed.into_iter().filter_map(|(key, child)| self.arrival(key, child)).collect()
    }

    fn arrival(&mut self, key: usize, Child { run, token, fledgling, over }: Child) -> Option<Arrival> {
        drop(over);
        let is_awaited = self.waits.get(&run) == Some(&Wait::Program(key));
        match fledgling.outcome() {
            Ok(process) if is_awaited => {
                self.waits.remove(&run);
                return Some(Arrival { run, token, process });
            }
            // It was given up, and killed.
            Ok(process) => {
                process.kill();
                process.await_end();
            }
            Err(fall) if is_awaited => {
                self.waits.insert(run, Wait::Explanation);
                let mailbox = self.mailbox.clone();
                // If nobody takes it, the run is given up in a while.
                let _ = self.explainer.ask(move || mailbox.send(Command::Fell { run, why: fall.explain() }));
            }
            Err(_) => {}
        }
        None
    }

    /// Whether it is news why the child of this run has failed: the run may have been given up.
    pub(super) fn fell(&mut self, run: RunId) -> bool {
        self.waits.remove(&run).is_some()
    }

    /// When the next has been on its way for too long.
    pub(super) fn deadline(&mut self) -> Option<Duration> {
        while self.limits.front().is_some_and(|(_, run)| !self.waits.contains_key(run)) {
            self.limits.pop_front();
        }
        self.limits.front().map(|(limit, _)| *limit)
    }

    /// The next that has been on its way for too long, and is given up.
    pub(super) fn overdue(
        &mut self,
        spec: impl Fn(RunId) -> ProcessSpec,
        now: Duration,
    ) -> Option<(RunId, SpawnError)> {
        self.deadline().filter(|limit| *limit <= now)?;
        let (_, run) = self.limits.pop_front()?;
        let wait = self.waits.remove(&run)?;
        let spec = spec(run);
        let silent = format!("no answer for {} s", LIMIT.as_secs());
        let (step, reason) = match wait {
            Wait::Account => {
                let named = Named { user: spec.user, group: spec.group };
                (SpawnStep::User, format!("{named}: {silent} from the name service"))
            }
            Wait::Program(_) | Wait::Explanation => {
                if let Wait::Program(key) = wait
                    && let Some(child) = self.children.get(&key)
                {
                    child.fledgling.process().kill();
                }
                let program = spec.executable.display();
                (SpawnStep::Executable, format!("{program}: {silent} from the file system"))
            }
        };
        Some((run, SpawnError { step, reason, os_error: None }))
    }

    fn wait(&mut self, run: RunId, wait: Wait, now: Duration) {
        self.waits.insert(run, wait);
        self.limits.push_back((now.saturating_add(LIMIT), run));
    }
}

impl Drop for Launches {
    fn drop(&mut self) {
        self.children.values().for_each(|child| child.fledgling.process().kill());
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, &self.group) {
            (Some(user), _) => f.write_str(user),
            (None, Some(group)) => write!(f, "group {group}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::super::handle::command_queue;
    use super::*;

    fn launches() -> (Launches, crossbeam_channel::Receiver<Command>) {
        let poller = Arc::new(Poller::new().unwrap());
        let (commands, queue) = command_queue();
        (Launches::new(Arc::clone(&poller), Mailbox::new(&commands, &poller), Terms::default()), queue)
    }

    fn run(component: u32) -> RunId {
        RunId { component, number: 1 }
    }

    fn as_user(user: &str) -> ProcessSpec {
        let mut spec = ProcessSpec::new("ps", "/bin/true").unwrap();
        spec.user = Some(user.to_owned());
        spec
    }

    #[test]
    fn who_is_asked_for_by_several_is_looked_up_once_for_all() {
        let (mut launches, queue) = launches();
        // The thread that looks users up has something else to do meanwhile.
        let (go_on, wait) = crossbeam_channel::bounded::<()>(0);
        launches.finder.ask(move || wait.recv().unwrap());
        for component in 0..3 {
            launches.seek(run(component), &as_user("root"), Duration::ZERO).unwrap();
        }
        launches.learn(7, &as_user("root"));
        go_on.send(()).unwrap();
        let Command::Found { named, account } = queue.recv().unwrap() else { panic!("another command") };
        assert!(matches!(account, Ok(Some(_))));
        assert_eq!(launches.found(&named, &account), [run(0), run(1), run(2)]);
        assert!(launches.account(7).is_some() && launches.account(0).is_none());
        assert!(launches.found(&named, &account).is_empty() && launches.deadline().is_none());
        drop(launches);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_name_service_that_hangs_holds_up_nobody_and_what_it_says_too_late_is_not_heard() {
        let (mut launches, queue) = launches();
        let (go_on, wait) = crossbeam_channel::bounded::<()>(0);
        launches.finder.ask(move || wait.recv().unwrap());
        let (soon, later) = (Duration::from_secs(1), Duration::from_secs(3));
        launches.seek(run(0), &as_user("root"), soon).unwrap();
        launches.seek(run(1), &as_user("root"), later).unwrap();
        assert_eq!(launches.deadline(), Some(soon + LIMIT));
        let spec = |_| as_user("root");
        assert!(launches.overdue(spec, soon).is_none());
        let (given_up, why) = launches.overdue(spec, soon + LIMIT).unwrap();
        let told = "cannot look up the user: root: no answer for 10 s from the name service";
        assert_eq!((given_up, why.to_string().as_str()), (run(0), told));
        assert!(launches.overdue(spec, soon + LIMIT).is_none());
        assert_eq!(launches.deadline(), Some(later + LIMIT));
        go_on.send(()).unwrap();
        let Command::Found { named, account } = queue.recv().unwrap() else { panic!("another command") };
        assert_eq!(launches.found(&named, &account), [run(1)]);
    }
}
