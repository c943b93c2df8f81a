//! What was answered last: true for as long as nothing has happened since, so that whoever asks again need not wake the driver.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os::ControlGroup;
use crate::status::Detail;

/// So long an answer is good for at most: by then a driver that hangs is found out.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// So many answers are kept at most.
const MOST: usize = 64;

/// How often the driver has told its core of something.
#[derive(Clone, Debug, Default)]
pub(in crate::supervisor) struct Told(Arc<AtomicU64>);

impl Told {
    /// The driver has told its core of something: before anybody can notice what comes of that. What was answered before is old.
    pub(in crate::supervisor) fn count(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn times(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What the driver knows of one component.
pub(in crate::supervisor) type Known = (Detail, Option<Arc<ControlGroup>>);

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct Recent {
    told: Told,
    answers: Mutex<HashMap<u32, Answer>>,
}

#[derive(Debug)]
struct Answer {
    /// How often the core had been told of something when it was given, or earlier.
    told: u64,
    at: Instant,
    known: Arc<Known>,
}

impl Recent {
    pub(super) fn new(told: Told) -> Self {
        Self { told, answers: Mutex::default() }
    }

    /// What was answered before of this component, and how long ago, if nothing has happened since.
    pub(super) fn known(&self, key: u32) -> Option<(Arc<Known>, Duration)> {
        let answers = self.answers();
        let answer = answers.get(&key).filter(|answer| answer.told == self.told.times())?;
        let age = answer.at.elapsed();
        (age <= GOOD_FOR).then(|| (Arc::clone(&answer.known), age))
    }

    /// Has the driver answer, and keeps that.
    pub(super) fn ask<E>(&self, key: u32, ask: impl FnOnce() -> Result<Known, E>) -> Result<Arc<Known>, E> {
        let told = self.told.times();
        let known = Arc::new(ask()?);
        #[expect(clippy::disallowed_methods, reason = "how old the answer is, which decides nothing")]
        let at = Instant::now();
        let mut answers = self.answers();
        if answers.len() >= MOST {
            answers.clear();
        }
        answers.insert(key, Answer { told, at, known: Arc::clone(&known) });
        Ok(known)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<u32, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Core, Rules};
    use crate::spec::ProcessSpec;

    fn known() -> Result<Known, ()> {
        let specs = vec![ProcessSpec::new("ps", "ps").unwrap()];
        let core = Core::new(specs, Vec::new(), Rules::default(), 0);
        Ok((core.detail(Duration::ZERO, 0), None))
    }

    /// An answer, and what is known of it afterwards, which is soon but for a thread that is halted.
    fn asked(recent: &Recent, key: u32) -> (Arc<Known>, (Arc<Known>, Duration)) {
        loop {
            let answer = recent.ask(key, known).unwrap();
            if let Some(again) = recent.known(key) {
                return (answer, again);
            }
            assert!(recent.answers()[&key].at.elapsed() > GOOD_FOR);
        }
    }

    #[test]
    fn an_answer_is_good_until_the_core_is_told_of_something() {
        let told = Told::default();
        let recent = Recent::new(told.clone());
        assert!(recent.known(0).is_none());
        let (first, (again, age)) = asked(&recent, 0);
        assert!(Arc::ptr_eq(&first, &again) && age > Duration::ZERO);
        assert!(recent.known(1).is_none());
        told.count();
        assert!(recent.known(0).is_none());
        assert!(recent.ask(0, || Err(())).is_err());
        recent
            .ask(0, || {
                told.count();
                known()
            })
            .unwrap();
        assert!(recent.known(0).is_none(), "nobody knows whether that came before or after");
    }

    #[test]
    fn only_so_many_answers_are_kept() {
        let recent = Recent::new(Told::default());
        (0..=MOST as u32).for_each(|key| drop(recent.ask(key, known).unwrap()));
        assert!(recent.known(0).is_none());
        asked(&recent, MOST as u32);
    }
}
