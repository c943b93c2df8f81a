//! What the restart engine takes: a component that crashes for ever, and a thousand that are asked how they are.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::answerer::Answerer;
use crate::figures::Times;
use crate::subject::{Kind, Subject};
use crate::{Bench, Failure, HALF_PACE, MANY, proc};

/// From one question to the next.
const INTERVAL: Duration = Duration::from_secs(10);
/// How much later than that a question may come.
const LATE: Duration = Duration::from_secs(1);
/// How often the bare prober asks.
const QUESTIONS: u32 = 500;

impl Bench {
    /// A component that exits at once for ever, with the default settings, beside a thousand that idle: what it costs the
    /// supervisor, and whether the others have to wait for it. Compared with a supervisor without the loop, in turns.
    pub(crate) fn crash_loop(&mut self) -> Result<(), Failure> {
        let (mut calm, _) = self.start(Kind::Ours, MANY + 1)?;
        let (mut ours, _) = self.start(Kind::Ours, MANY + 1)?;
        for subject in [&calm, &ours] {
            subject.await_up()?;
        }
        sleep(2 * HALF_PACE);
        let (mut calm_times, mut our_times) = (Times::default(), Times::default());
        let (calm_watch, our_watch, runs) = (Watch::of(&calm)?, Watch::of(&ours)?, ours.runs);
        ours.start_loop(0)?;
        let mut kills = 0;
        while our_watch.elapsed() < self.rounds.watch {
            kills += 1;
            sleep(HALF_PACE);
            calm_times.add(calm.kill(kills)?);
            sleep(HALF_PACE);
            our_times.add(ours.kill(kills)?);
        }
        let (calm_share, our_share) = (calm_watch.share(&calm)?, our_watch.share(&ours)?);
        let what = "processor time beside a crash loop and 1,000 idle, % of one processor";
        self.table.shares(what, calm_share, our_share, "under 1");
        let what = "from SIGKILL of another to its next run, ms";
        self.table.pairs(what, &calm_times, &our_times, "ratio about 1");
        let crashes = ours.runs - runs - kills;
        let what = format!("runs of what crashes, in {} s", self.rounds.watch.as_secs());
        // At once, then after 0.1 s, 0.2, 0.4 and so on: the ninth comes within 26 s even where each delay is a tenth longer.
        self.table.count(&what, &crashes, "7 to 10", (7..=10).contains(&crashes));
        calm.stop()?;
        ours.stop()
    }

    /// A thousand components, each asked every 10 s how it is, one half by TCP and the other by HTTP. Compared with a
    /// thread that connects, asks and reads as often, and does nothing else.
    pub(crate) fn health(&mut self) -> Result<(), Failure> {
        let answerer = Answerer::start(MANY)?;
        let elements = |number| {
            let question = answerer.question(number);
            format!(r#"<health interval="{}s" timeout="2s">{question}</health>"#, INTERVAL.as_secs())
        };
        let (ours, _) = self.start(Kind::OursWith(&elements), MANY)?;
        ours.await_up()?;
        // Until each has been asked.
        sleep(INTERVAL + LATE);
        let (begin, watch) = (Instant::now(), Watch::of(&ours)?);
        sleep(self.rounds.watch);
        let (end, share) = (Instant::now(), watch.share(&ours)?);
        let asked = answerer.asked();

        let a_second = MANY as f64 / INTERVAL.as_secs_f64();
        let what = "processor time to ask 1,000 every 10 s, % of one processor";
        self.table.shares(what, bare_question(&answerer)?.as_secs_f64() * a_second, share, "under 3");
        let latest = asked.iter().map(|times| lateness(times, begin, end)).max().unwrap_or_default();
        self.table.figure("the latest question was late by, ms", &latest.as_millis(), "under 1,000");
        let late = asked.iter().filter(|times| lateness(times, begin, end) > LATE).count();
        self.table.count("components that were asked more than 1 s late", &late, "0", late == 0);
        let what = format!("questions to each of them in {} s", self.rounds.watch.as_secs());
        let within = |times: &&Vec<Instant>| times.iter().filter(|&&at| at >= begin && at < end).count();
        let least = asked.iter().map(|times| within(&times)).min().unwrap_or_default();
        let most = asked.iter().map(|times| within(&times)).max().unwrap_or_default();
        let due = usize::try_from(self.rounds.watch.as_secs() / INTERVAL.as_secs())?;
        let is_right = least + 1 >= due && most <= due + 1;
        self.table.count(
            &what,
            &format!("{least} to {most}"),
            &format!("{due}, or 1 more or less"),
            is_right,
        );
        self.table.figure(
            "most questions within one second",
            &most_in_a_second(&asked, begin, end),
            "100 on average",
        );
        ours.stop()
    }
}

/// The processor time of a supervisor from now on.
struct Watch {
    since: Instant,
    before: Duration,
}

impl Watch {
    fn of(subject: &Subject) -> Result<Self, Failure> {
        Ok(Self { before: proc::processor_time(subject.pid())?, since: Instant::now() })
    }

    fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Its share of one processor since then.
    fn share(&self, subject: &Subject) -> Result<f64, Failure> {
        let used = proc::processor_time(subject.pid())?.saturating_sub(self.before);
        Ok(used.as_secs_f64() / self.elapsed().as_secs_f64())
    }
}

/// How much later than an interval after the one before a question of these came, or has not come by `end`.
fn lateness(asked: &[Instant], begin: Instant, end: Instant) -> Duration {
    let after = asked.iter().skip(1).copied().chain([end]);
    let gaps = asked.iter().zip(after).filter(|&(_, next)| next >= begin);
    let longest = gaps.map(|(&at, next)| next.saturating_duration_since(at)).max();
    // What was never asked has waited all the time.
    longest.unwrap_or(end - begin + INTERVAL).saturating_sub(INTERVAL)
}

fn most_in_a_second(asked: &[Vec<Instant>], begin: Instant, end: Instant) -> usize {
    let mut times: Vec<_> = asked.iter().flatten().filter(|&&at| at >= begin && at < end).collect();
    times.sort_unstable();
    let second = |(index, at): (usize, &&Instant)| {
        times[index..].partition_point(|next| next.duration_since(**at) < Duration::from_secs(1))
    };
    times.iter().enumerate().map(second).max().unwrap_or_default()
}

/// What one question takes of a processor when nothing but the question is done; the middle between TCP and HTTP.
fn bare_question(answerer: &Answerer) -> Result<Duration, Failure> {
    let before = clock_gettime(ClockId::ThreadCPUTime);
    for _ in 0..QUESTIONS {
        connect(answerer.tcp_port())?;
        let mut connection = connect(answerer.http_port())?;
        connection.write_all(b"GET /0 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        connection.read_to_end(&mut Vec::new())?;
    }
    let after = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::try_from(after - before)? / (2 * QUESTIONS))
}

fn connect(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
}
