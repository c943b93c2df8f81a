//! What is written from now on, as the kernel tells it: whoever writes notices nothing, and nobody looks again and again.

mod pursuit;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use tracing::warn;

pub(super) use self::pursuit::Begun;
use self::pursuit::{BLOCK, Pursuit};
use super::Wanted;
use super::shelf::Shelf;
use super::source::Source;
use super::teller::Teller;
use crate::exit::Failure;
use crate::os::watch::{End, Folders, News};
use crate::say;

/// Of so many names of files it is remembered whose they are, beside one for each log.
const MOST_NAMES: usize = 4096;

/// Logs that are followed.
pub(super) struct Following<'a> {
    news: Arc<Folders>,
    wanted: &'a Wanted,
    pursuits: Vec<Pursuit<'a>>,
    owners: Owners,
}

/// How long logs are followed.
#[derive(Clone, Copy)]
pub(super) enum Until<'a> {
    /// Nobody reads what is told any more.
    Unread,
    /// Something comes, or the other end is closed. Only if a byte comes, nothing will be written any more, and lines that have
    /// no end are told too. Meanwhile there may come more to be followed.
    Told(&'a End, &'a Receiver<Begun>),
}

impl<'a> Following<'a> {
    /// Begins with these logs.
    pub(super) fn begin(sources: &[Source], wanted: &'a Wanted) -> Result<Self, Failure> {
        let news = Folders::new().map_err(|error| Failure::failed(format!("cannot follow: {error}")))?;
        let mut following =
            Self { news: Arc::new(news), wanted, pursuits: Vec::new(), owners: Owners::default() };
        for source in sources {
            let begun = Begun::new(&following.news, source.clone())?;
            following.add(begun);
        }
        Ok(following)
    }

    /// By which it hears of what is written.
    pub(super) fn news(&self) -> Arc<Folders> {
        Arc::clone(&self.news)
    }

    fn add(&mut self, begun: Begun) {
        self.pursuits.push(Pursuit::new(self.pursuits.len(), begun, self.wanted));
    }

    /// What there was when it began.
    pub(super) fn shelves(&self) -> impl Iterator<Item = &Shelf> {
        self.pursuits.iter().map(|pursuit| &pursuit.shelf)
    }

    /// Tells what is written.
    pub(super) fn follow(mut self, teller: &mut Teller, until: Until<'_>) -> Result<(), Failure> {
        let mut block = vec![0; BLOCK];
        self.set_out(0, teller, &mut block)?;
        loop {
            teller.flush();
            let goes_on = self.wait(until).map_err(|error| cannot_follow(&error))?;
            if say::reader_is_gone() || (!goes_on && matches!(until, Until::Unread)) {
                return Ok(());
            }
            let (concerned, gone) = self.take_news().map_err(|error| cannot_follow(&error))?;
            if let Until::Told(_, more) = until {
                // After the news: what these are of is not yet written when it comes to be followed.
                self.take_more(more, teller, &mut block)?;
            }
            for (number, has_appeared) in concerned {
                self.pursuits[number].go_on(has_appeared, teller, &mut block)?;
            }
            if let (false, Until::Told(end, _)) = (goes_on, until) {
                let nothing_comes_any_more = end.nothing_comes();
                for pursuit in &mut self.pursuits {
                    pursuit.go_on(true, teller, &mut block)?;
                    if nothing_comes_any_more {
                        pursuit.end_line(teller);
                    }
                }
                teller.flush();
                return Ok(());
            }
            for folder in gone {
                teller.flush();
                self.let_go(folder, until)?;
            }
        }
    }

    /// Tells what was written since these began: all from this number on.
    fn set_out(&mut self, first: usize, teller: &mut Teller, block: &mut [u8]) -> Result<(), Failure> {
        self.pursuits[first..].iter_mut().try_for_each(|pursuit| {
            pursuit.shelf = Shelf::default();
            pursuit.go_on(true, teller, block)
        })
    }

    /// Takes in what is to be followed too. A log that is followed already goes on as it is described now.
    fn take_more(
        &mut self,
        more: &Receiver<Begun>,
        teller: &mut Teller,
        block: &mut [u8],
    ) -> Result<(), Failure> {
        let first = self.pursuits.len();
        let mut has_changed = false;
        for begun in more.try_iter() {
            match self.pursuits.iter_mut().find(|pursuit| pursuit.follows(&begun)) {
                Some(known) => known.go_over_to(begun),
                None => self.add(begun),
            }
            has_changed = true;
        }
        if has_changed {
            self.owners = Owners::default();
            teller.set_sources(self.pursuits.iter().map(|pursuit| &pursuit.source));
        }
        self.set_out(first, teller, block)
    }

    /// Somebody has removed this folder, and nothing can be heard of its logs any more. That is the end, unless others are followed for
    /// as long as the supervisor runs.
    fn let_go(&self, folder: i32, until: Until<'_>) -> Result<(), Failure> {
        let sentence = "cannot follow any more: somebody has removed the folder of the log";
        if matches!(until, Until::Unread) {
            return Err(Failure::failed(sentence));
        }
        for pursuit in self.pursuits.iter().filter(|pursuit| pursuit.folder == folder) {
            warn!("{sentence} {}", pursuit.source.settings.path.display());
        }
        Ok(())
    }

    /// Waits for news: `false` if it is to end.
    fn wait(&self, until: Until<'_>) -> std::io::Result<bool> {
        self.news.wait(match until {
            Until::Unread => None,
            Until::Told(end, _) => Some(end),
        })
    }

    /// Whom the news concern, and whether files may have appeared; and which folders are gone.
    fn take_news(&mut self) -> std::io::Result<(BTreeMap<usize, bool>, Vec<i32>)> {
        let Self { news, pursuits, owners, .. } = self;
        let (mut concerned, mut gone) = (BTreeMap::new(), Vec::new());
        let mut note = |number: usize, has_appeared: bool| {
            *concerned.entry(number).or_default() |= has_appeared;
        };
        news.take(|news| match news {
            News::Written(folder, name) => {
                owners.of(pursuits, folder, name).iter().for_each(|number| note(*number, false));
            }
            News::Appeared(folder, name) => {
                owners.of(pursuits, folder, name).iter().for_each(|number| note(*number, true));
            }
            News::Unknown => (0..pursuits.len()).for_each(|number| note(number, true)),
            News::Gone(folder) => gone.push(folder),
        })?;
        Ok((concerned, gone))
    }
}

fn cannot_follow(error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot follow: {error}"))
}

/// Whose files are called so: asked once for each name, because there may be thousands of logs.
#[derive(Default)]
struct Owners(HashMap<(i32, OsString), Vec<usize>>);

impl Owners {
    /// The numbers of the logs that have such a file in this folder.
    fn of(&mut self, pursuits: &[Pursuit<'_>], folder: i32, name: &OsStr) -> &[usize] {
        if self.0.len() >= MOST_NAMES + pursuits.len() {
            self.0.clear();
        }
        self.0.entry((folder, name.to_owned())).or_insert_with(|| {
            let owns =
                |pursuit: &&Pursuit<'_>| pursuit.folder == folder && pursuit.source.settings.owns(name);
            pursuits.iter().filter(owns).map(|pursuit| pursuit.number).collect()
        })
    }
}
